# cmake --install: headers, both libraries, the programs, a CMake package and pkg-config.
#
#   find_package(lightning REQUIRED)
#   target_link_libraries(app PRIVATE lightning::lightning)      # or lightning::lightning_static
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/lightning)

install(TARGETS lightning lightning_static EXPORT lightning_targets)
install(DIRECTORY store/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
# What a target of `lightning-faults target` includes.
install(FILES faults/target/lightning_target.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
foreach(program lightning-store lightning-faults lightning-faults-sim)
  if(TARGET ${program})
    install(TARGETS ${program})
  endif()
endforeach()
# What `lightning-faults replay` gives to gdb, and how it goes from a recording by rr to the writer.
install(FILES faults/gdb/lightning_printers.py faults/gdb/recorded_machine.py faults/gdb/rr_steps.py
        DESTINATION ${CMAKE_INSTALL_DATADIR}/lightning)
install(EXPORT lightning_targets NAMESPACE lightning:: FILE lightning-targets.cmake DESTINATION ${package_dir})

configure_package_config_file(cmake/lightning-config.cmake.in ${PROJECT_BINARY_DIR}/lightning-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/lightning-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/lightning-config.cmake ${PROJECT_BINARY_DIR}/lightning-config-version.cmake
        DESTINATION ${package_dir})
# Relative, so that `cmake --install --prefix` and a moved tree work.
file(RELATIVE_PATH prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/lightning.pc.in ${PROJECT_BINARY_DIR}/lightning.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/lightning.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
