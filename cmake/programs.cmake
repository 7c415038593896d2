# The CLI and the examples in C.
add_custom_target(product) # what ./dev build makes: all but tests and benches

# Rings alone, from C and from C++: they link nothing but the rings.
include(CheckLanguage)
check_language(CXX)
file(GLOB sources CONFIGURE_DEPENDS examples/rings/*.c)
if(CMAKE_CXX_COMPILER)
    enable_language(CXX)
    file(GLOB in_cxx CONFIGURE_DEPENDS examples/rings/*.cc)
endif()
foreach(source ${sources} ${in_cxx})
    get_filename_component(name ${source} NAME_WE)
    add_executable(example_rings_${name} ${source})
    set_target_properties(example_rings_${name} PROPERTIES OUTPUT_NAME ${name}
                          RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/examples/rings)
    target_link_libraries(example_rings_${name} PRIVATE beltway::rings)
    add_dependencies(product example_rings_${name})
endforeach()

if(BELT_RINGS_ONLY)
    return()
endif()
add_dependencies(product beltway)

# Plugins resolve belt_ symbols in the program that loads them, hence the whole
# archive and its public symbols in the dynamic table.
file(GLOB sources CONFIGURE_DEPENDS apps/beltway/*.c)
if(sources)
    add_executable(beltway_cli ${sources})
    set_target_properties(beltway_cli PROPERTIES OUTPUT_NAME beltway ENABLE_EXPORTS ON)
    target_link_libraries(beltway_cli PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,beltway_static> m)
    target_include_directories(beltway_cli PRIVATE ${BELT_BUILD_INCLUDE})
    install(TARGETS beltway_cli)
    add_dependencies(product beltway_cli)
endif()

file(GLOB sources CONFIGURE_DEPENDS examples/c/*.c examples/broadway/*.c)
foreach(source ${sources})
    get_filename_component(name ${source} NAME_WE)
    if(name MATCHES "_plugin$")
        add_library(example_${name} MODULE ${source})
        set_target_properties(example_${name} PROPERTIES PREFIX ""
                              LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/examples/c)
    else()
        add_executable(example_${name} ${source})
        target_link_libraries(example_${name} PRIVATE beltway Threads::Threads)
        set_target_properties(example_${name} PROPERTIES
                              RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/examples/c)
    endif()
    # Built as a user would: no hidden visibility.
    set_target_properties(example_${name} PROPERTIES OUTPUT_NAME ${name}
                          C_VISIBILITY_PRESET default)
    target_include_directories(example_${name} PRIVATE ${BELT_BUILD_INCLUDE})
    add_dependencies(product example_${name})
endforeach()
