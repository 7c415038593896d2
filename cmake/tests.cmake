# tests/unit/test_X.c    one Criterion program each; other files there are shared by all
# tests/stress/X.c       one plain program each: what Criterion cannot hold
# tests/proofs, step     cmake/proofs.cmake, cmake/step.cmake
# tests/conformance      cmake/conformance.cmake
# tests/fuzz             cmake/fuzz.cmake
# tests/cli/*.sh         scripts; lib*.sh are shared by them
# tests/*.sh             rules of the tree
set(BELT_TEST_ENV "SOURCE_DIR=${PROJECT_SOURCE_DIR};BUILD_DIR=${PROJECT_BINARY_DIR}"
    "BELTWAY=${PROJECT_BINARY_DIR}/beltway;CC=${CMAKE_C_COMPILER}"
    "UBSAN_OPTIONS=print_stacktrace=1"
    "LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/lsan.supp:print_suppressions=0")

function(belt_test name label seconds)
    add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${seconds}
                         SKIP_RETURN_CODE 77 ENVIRONMENT "${BELT_TEST_ENV}")
endfunction()

function(belt_test_program name source)
    add_executable(${name} ${source} ${ARGN})
    set_target_properties(${name} PROPERTIES
                          RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    target_include_directories(${name} PRIVATE ${BELT_BUILD_INCLUDE})
    target_link_libraries(${name} PRIVATE beltway_static)
endfunction()

file(GLOB sources CONFIGURE_DEPENDS tests/stress/*.c)
foreach(source ${sources})
    get_filename_component(name ${source} NAME_WE)
    belt_test_program(stress_${name} ${source})
    belt_test(stress/${name} stress 300 stress_${name})
    # They pin threads: not beside one another.
    set_tests_properties(stress/${name} PROPERTIES PROCESSORS 2)
endforeach()
include(cmake/fuzz.cmake)
# Run by ./dev numa-guest, in machines of several nodes.
belt_test_program(numa_check tests/numa/numa_check.c)
if(BELT_SANITIZE STREQUAL "thread")
    return() # Criterion forks under the sanitizer's threads
endif()

file(GLOB shared CONFIGURE_DEPENDS tests/unit/*.c)
set(sources ${shared})
list(FILTER shared EXCLUDE REGEX "/test_[^/]*$")
list(FILTER sources INCLUDE REGEX "/test_[^/]*$")
if(sources)
    pkg_check_modules(CRITERION REQUIRED IMPORTED_TARGET criterion)
endif()
foreach(source ${sources})
    get_filename_component(name ${source} NAME_WE)
    belt_test_program(${name} ${source} ${shared})
    target_link_libraries(${name} PRIVATE PkgConfig::CRITERION)
    belt_test(unit/${name} unit 120 ${name})
endforeach()

include(cmake/conformance.cmake)

file(GLOB scripts CONFIGURE_DEPENDS tests/cli/*.sh)
list(FILTER scripts EXCLUDE REGEX "/lib[^/]*$")
foreach(script ${scripts})
    get_filename_component(name ${script} NAME_WE)
    belt_test(cli/${name} cli 300 bash ${script})
endforeach()

if(NOT BELT_SANITIZE)
    include(cmake/proofs.cmake OPTIONAL)
    include(cmake/step.cmake OPTIONAL)
    file(GLOB scripts CONFIGURE_DEPENDS tests/*.sh)
    foreach(script ${scripts})
        get_filename_component(name ${script} NAME_WE)
        belt_test(tree/${name} tree 120 bash ${script})
    endforeach()
endif()
