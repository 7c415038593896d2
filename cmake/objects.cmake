# belt_objects(NAME folder...): compiles the folders' .c and .cc files and sets
# BELT_<NAME>_OBJECTS to what a library is made of; empty when there are none.
# Files named *_hot.c are compiled once per ISA (core/isa.h).
function(belt_objects name)
    list(TRANSFORM ARGN APPEND "/*.c" OUTPUT_VARIABLE patterns)
    list(TRANSFORM ARGN APPEND "/*.cc" OUTPUT_VARIABLE in_cxx)
    file(GLOB sources CONFIGURE_DEPENDS ${patterns} ${in_cxx})
    # C++ is for libraries that want it, behind a C face; nothing is thrown through that.
    set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS
        "$<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions;-fvisibility=hidden>")
    set(hot ${sources})
    list(FILTER hot INCLUDE REGEX "_hot\\.c$")
    list(FILTER sources EXCLUDE REGEX "_hot\\.c$")
    set(objects)
    if(sources)
        add_library(${name} OBJECT ${sources})
        list(APPEND objects $<TARGET_OBJECTS:${name}>)
        set(made ${name})
    endif()
    if(hot)
        foreach(isa ${BELT_ISAS})
            add_library(${name}_${isa} OBJECT ${hot})
            # Checked copies of known size force vectors through the stack: the line
            # scanner took 2.1 instead of 1.4 ns a line under clang 14.
            target_compile_options(${name}_${isa} PRIVATE -U_FORTIFY_SOURCE
                                   -fno-stack-protector)
            target_compile_definitions(${name}_${isa} PRIVATE BELT_ISA=${isa})
            target_compile_options(${name}_${isa} PRIVATE ${BELT_MARCH_${isa}})
            list(APPEND objects $<TARGET_OBJECTS:${name}_${isa}>)
            list(APPEND made ${name}_${isa})
        endforeach()
    endif()
    foreach(target ${made})
        target_link_libraries(${target} PRIVATE ${BELT_DEPS} Threads::Threads)
    endforeach()
    string(TOUPPER ${name} upper)
    set(BELT_${upper}_OBJECTS ${objects} PARENT_SCOPE)
endfunction()

# belt_public_headers(OUT): the headers that are installed, all flat in
# beltway/. The build folder gets the same layout, so that examples and tests
# write <beltway/pipeline.h> as a user does.
set(BELT_BUILD_INCLUDE ${PROJECT_BINARY_DIR}/include)
function(belt_public_headers out)
    set(list ${PROJECT_SOURCE_DIR}/cmake/public_headers.txt)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${list})
    file(STRINGS ${list} patterns)
    file(GLOB headers CONFIGURE_DEPENDS ${patterns})
    list(FILTER headers EXCLUDE REGEX "_priv\\.h$")
    if(BELT_RINGS_ONLY)
        list(FILTER headers INCLUDE REGEX "/rings/[^/]*$")
    endif()
    file(REMOVE_RECURSE ${BELT_BUILD_INCLUDE})
    file(MAKE_DIRECTORY ${BELT_BUILD_INCLUDE}/beltway)
    foreach(header ${headers})
        get_filename_component(plain ${header} NAME)
        file(CREATE_LINK ${header} ${BELT_BUILD_INCLUDE}/beltway/${plain} SYMBOLIC)
    endforeach()
    set(${out} ${headers} PARENT_SCOPE)
endfunction()
