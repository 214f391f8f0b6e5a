# What `cmake --install` makes: the program, libkiln, the SDK's headers, the ready-made pipelines, and the package that
# find_package(kiln) finds. Plugins install themselves (KilnPlugin.cmake).
include(CMakePackageConfigHelpers)

set(KILN_INSTALL_PLUGINS ${CMAKE_INSTALL_LIBDIR}/kiln/plugins)
set(KILN_INSTALL_PACKAGE ${CMAKE_INSTALL_LIBDIR}/cmake/kiln)
set(KILN_INSTALL_PIPELINES ${CMAKE_INSTALL_DATADIR}/kiln/pipelines)

install(TARGETS kiln_sdk EXPORT kilnTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT kilnTargets NAMESPACE kiln:: DESTINATION ${KILN_INSTALL_PACKAGE})

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/kilnConfig.cmake.in ${CMAKE_BINARY_DIR}/generated/kilnConfig.cmake
                              INSTALL_DESTINATION ${KILN_INSTALL_PACKAGE}
                              PATH_VARS KILN_INSTALL_PLUGINS KILN_INSTALL_PIPELINES)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/generated/kilnConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/generated/kilnConfig.cmake ${CMAKE_BINARY_DIR}/generated/kilnConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/KilnPlugin.cmake
        DESTINATION ${KILN_INSTALL_PACKAGE})

if(TARGET kiln)
  install(TARGETS kiln RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/pipelines/ DESTINATION ${KILN_INSTALL_PIPELINES} FILES_MATCHING PATTERN *.toml)

# The build tree has the installed shape, so that `kiln build debian` works in it too.
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/share/kiln)
file(CREATE_LINK ${PROJECT_SOURCE_DIR}/pipelines ${CMAKE_BINARY_DIR}/share/kiln/pipelines SYMBOLIC)
