# belt-bench-rings: rings beside their peers. Peers are optional; the program names
# those that were not there.
enable_language(CXX)
file(GLOB sources CONFIGURE_DEPENDS bench/ring_*.cc)
add_executable(belt-bench-rings ${sources} bench/calibrate.cc)
set_target_properties(belt-bench-rings PROPERTIES CXX_EXTENSIONS ON)
target_link_libraries(belt-bench-rings PRIVATE beltway_rings)

# bench_peer(NAME HEADER [FOLDER..]): defines BELT_BENCH_<NAME> when HEADER is there.
function(bench_peer name header)
    find_path(BELT_BENCH_${name}_FOLDER ${header} PATHS ${ARGN})
    mark_as_advanced(BELT_BENCH_${name}_FOLDER)
    if(BELT_BENCH_${name}_FOLDER)
        target_compile_definitions(belt-bench-rings PRIVATE BELT_BENCH_${name})
        target_include_directories(belt-bench-rings SYSTEM PRIVATE ${ARGN})
    endif()
endfunction()

# The inline half of rte_ring is all that is used: nothing to link.
pkg_check_modules(DPDK QUIET libdpdk)
bench_peer(DPDK rte_ring_peek_zc.h ${DPDK_INCLUDE_DIRS})
bench_peer(BOOST boost/lockfree/spsc_queue.hpp)
bench_peer(MOODYCAMEL concurrentqueue/concurrentqueue.h)
pkg_check_modules(TBB QUIET IMPORTED_TARGET tbb)
if(TBB_FOUND)
    bench_peer(TBB oneapi/tbb/concurrent_queue.h)
    target_link_libraries(belt-bench-rings PRIVATE PkgConfig::TBB)
endif()

# belt-bench: the pipelines. belt-bench-lines: data for some of them.
add_executable(belt-bench-lines bench/lines_main.cc bench/broadway_lines.cc)
pkg_check_modules(BENCHMARK IMPORTED_TARGET benchmark)
if(BENCHMARK_FOUND)
    file(GLOB sources CONFIGURE_DEPENDS bench/*.cc)
    list(FILTER sources EXCLUDE REGEX "/((ring_|files_)[^/]*|lines_main\\.cc)$")
    add_executable(belt-bench ${sources})
    set_target_properties(belt-bench PROPERTIES CXX_EXTENSIONS ON)
    target_include_directories(belt-bench PRIVATE ${BELT_BUILD_INCLUDE})
    target_link_libraries(belt-bench PRIVATE beltway_static PkgConfig::BENCHMARK)
endif()

# belt-bench-files: jobs on big files; what `beltway bench files` runs.
file(GLOB sources CONFIGURE_DEPENDS bench/files_*.cc)
add_executable(belt-bench-files ${sources} bench/calibrate.cc)
set_target_properties(belt-bench-files PROPERTIES CXX_EXTENSIONS ON)
target_link_libraries(belt-bench-files PRIVATE beltway_static)
add_dependencies(product belt-bench-files)
install(TARGETS belt-bench-files)

# Every ring and peer once, for what it moves, not for how fast.
if(BELT_TESTS)
    belt_test(bench/rings bench 300 belt-bench-rings --smoke)
    set_tests_properties(bench/rings PROPERTIES PROCESSORS 2)
endif()
