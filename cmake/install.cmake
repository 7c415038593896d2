# What is installed: headers, libraries, man pages, and what pkg-config and CMake
# need to find them. Nothing of it names the prefix: `cmake --install --prefix` and
# a moved tree both work. tests/install.sh builds programs against all of it.
include(CMakePackageConfigHelpers)
install(FILES ${BELT_PUBLIC} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/beltway)

# The rings' library: named by an underscore like its target; its package by a dash
# like the names that others give to packages.
set_target_properties(beltway_rings_shared PROPERTIES OUTPUT_NAME beltway_rings
                      VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
set_target_properties(beltway_rings PROPERTIES EXPORT_NAME rings)
set_target_properties(beltway_rings_shared PROPERTIES EXPORT_NAME rings_shared)

# ---- CMake: find_package(beltway COMPONENTS rings beltway), a file each ----------
set(cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/beltway)
install(TARGETS beltway_rings beltway_rings_shared EXPORT beltway-rings
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT beltway-rings NAMESPACE beltway:: DESTINATION ${cmake_dir})
if(TARGET beltway)
    install(TARGETS beltway EXPORT beltway-beltway
            INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
    install(EXPORT beltway-beltway NAMESPACE beltway:: DESTINATION ${cmake_dir})
endif()
configure_package_config_file(cmake/beltway-config.cmake.in beltway-config.cmake
                              INSTALL_DESTINATION ${cmake_dir})
# Before 1.0 a minor version may break what was.
write_basic_package_version_file(beltway-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/beltway-config.cmake
              ${PROJECT_BINARY_DIR}/beltway-config-version.cmake DESTINATION ${cmake_dir})

# ---- pkg-config ------------------------------------------------------------------
set(pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH BELT_PC_UP /prefix/${pc_dir} /prefix)
string(REGEX REPLACE "/$" "" BELT_PC_UP ${BELT_PC_UP})
# No Requires: the headers include libc's alone, and libbeltway.so names what it needs.
function(belt_pc name library description)
    configure_file(cmake/beltway.pc.in ${name}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${pc_dir})
endfunction()
belt_pc(beltway-rings beltway_rings "Rings between threads and processes")
if(TARGET beltway)
    belt_pc(beltway beltway "${PROJECT_DESCRIPTION}")
endif()

# ---- man pages: one file a page, and a link for every other name in its NAME -----
file(GLOB pages CONFIGURE_DEPENDS docs/man/*.[1-9])
foreach(page ${pages})
    get_filename_component(file ${page} NAME)
    string(REGEX REPLACE ".*\\." "" section ${file})
    set(man_dir ${CMAKE_INSTALL_MANDIR}/man${section})
    install(FILES ${page} DESTINATION ${man_dir})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${page})
    file(STRINGS ${page} names REGEX "^\\.Nm [a-z0-9_]+( ,)?$")
    foreach(name ${names})
        string(REGEX REPLACE "^\\.Nm ([a-z0-9_]+).*" "\\1.${section}" name ${name})
        if(NOT name STREQUAL file)
            file(WRITE ${PROJECT_BINARY_DIR}/man/${name} ".so man${section}/${file}\n")
            install(FILES ${PROJECT_BINARY_DIR}/man/${name} DESTINATION ${man_dir})
        endif()
    endforeach()
endforeach()
