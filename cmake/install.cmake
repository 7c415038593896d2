install(FILES ${BELT_PUBLIC} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/beltway)

# The .pc files find their prefix from where they lie, so that
# `cmake --install --prefix` and a moved tree both work.
set(pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH BELT_PC_UP /prefix/${pc_dir} /prefix)
string(REGEX REPLACE "/$" "" BELT_PC_UP ${BELT_PC_UP})
function(belt_pc name description requires libs)
    configure_file(cmake/beltway.pc.in ${name}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${pc_dir})
endfunction()
belt_pc(beltway "${PROJECT_DESCRIPTION}" "liburing, ck, hwloc, yaml-0.1" "-pthread")
if(TARGET beltway_rings)
    belt_pc(beltway_rings "The rings of beltway alone" "ck" "-pthread")
endif()
