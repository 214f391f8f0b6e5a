# How a plugin is built, in this tree and out of it alike:
#
#   find_package(kiln REQUIRED)
#   kiln_add_stage(hello SOURCES hello.cpp)
#
# kiln_add_stage(NAME [SOURCES a.cpp …] [LINK target …]) makes kiln-stage-NAME.so; kiln_add_format makes
# kiln-format-NAME.so. SOURCES defaults to NAME.cpp. The file name is the registration: kiln finds the library by it.

function(kiln_add_plugin kind name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  if(NOT ARG_SOURCES)
    set(ARG_SOURCES ${name}.cpp)
  endif()
  set(target kiln-${kind}-${name})
  add_library(${target} MODULE ${ARG_SOURCES})
  target_link_libraries(${target} PRIVATE kiln::sdk ${ARG_LINK})
  target_compile_features(${target} PRIVATE cxx_std_20)
  set_target_properties(${target} PROPERTIES PREFIX "" CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
                                             CXX_EXTENSIONS OFF)
  if(TARGET kiln_warnings) # only inside kiln's own tree
    target_link_libraries(${target} PRIVATE kiln_warnings)
    set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/kiln/plugins
                                               INSTALL_RPATH $ORIGIN/../..)
    install(TARGETS ${target} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/kiln/plugins)
    set_property(GLOBAL APPEND PROPERTY KILN_PLUGINS ${target})
  endif()
endfunction()

function(kiln_add_stage name)
  kiln_add_plugin(stage ${name} ${ARGN})
endfunction()

function(kiln_add_format name)
  kiln_add_plugin(format ${name} ${ARGN})
endfunction()
