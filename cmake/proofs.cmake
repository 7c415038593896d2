# tests/proofs: the rings' unchanged sources, compiled against a memory that shows
# every execution (tests/proofs/model.h). One program; ctest runs the quick part.
file(GLOB sources CONFIGURE_DEPENDS tests/proofs/*.c)
file(GLOB rings CONFIGURE_DEPENDS rings/*.c)
list(FILTER rings EXCLUDE REGEX "/mem\\.c$") # maps memory; nothing to explore

add_executable(proofs ${sources} ${rings})
target_compile_options(proofs PRIVATE
    -include ${PROJECT_SOURCE_DIR}/tests/proofs/model_atomic.h
    -U_FORTIFY_SOURCE # its longjmp() knows no fibers
    $<IF:$<C_COMPILER_ID:GNU>,-Wno-override-init,-Wno-initializer-overrides>)
foreach(name main memory fibers explore trace system)
    # The model itself gets the real calls.
    set_source_files_properties(tests/proofs/${name}.c PROPERTIES
                                COMPILE_DEFINITIONS MODEL_ITSELF)
endforeach()
set_target_properties(proofs PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)

belt_test(proofs/quick proofs 300 proofs --jobs 2)
set_tests_properties(proofs/quick PROPERTIES PROCESSORS 2)
