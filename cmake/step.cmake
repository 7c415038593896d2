# tests/step: death at every instruction, of rings compiled with and without
# optimisation into a program each. tests/kill: kill -9 at random moments.
# Both fork, trace and kill: nothing for sanitizers.
if(BELT_SANITIZE)
    return()
endif()

file(GLOB step_sources CONFIGURE_DEPENDS tests/step/*.c rings/*.c)
foreach(level O0 O2)
    add_executable(step_${level} ${step_sources})
    target_compile_options(step_${level} PRIVATE -U_FORTIFY_SOURCE -${level} -g)
    target_compile_definitions(step_${level} PRIVATE STEP_BUILT="-${level}")
    target_link_libraries(step_${level} PRIVATE Threads::Threads)
    list(APPEND step_programs step_${level})
endforeach()

file(GLOB kill_sources CONFIGURE_DEPENDS tests/kill/*.c)
add_executable(kill_rings ${kill_sources})
target_link_libraries(kill_rings PRIVATE beltway_static)

set_target_properties(${step_programs} kill_rings PROPERTIES
                      RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
add_custom_target(step_programs DEPENDS ${step_programs})
add_custom_target(kill_programs DEPENDS kill_rings)

belt_test(step/quick step 300 bash dev.d/step --quick)
belt_test(kill/2000 kill 300 bash dev.d/kill --kills 2000)
# They keep both CPUs busy: not beside one another.
set_tests_properties(step/quick kill/2000 PROPERTIES PROCESSORS 2)
