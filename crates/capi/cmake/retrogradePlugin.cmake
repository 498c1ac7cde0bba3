# retrograde_add_plugin(NAME SOURCES...): a plugin from sources in C, C++ or Fortran, NAME.so, NAME.dylib or NAME.dll.
#
# It exports retrograde_plugin_v1 alone: what else it exported could be taken for what another library means by that
# name, and the C++ library has symbols that hidden visibility does not hide. A symbol that nothing defines fails
# the link, not a run. Where there is the program `retrograde` (RETROGRADE_PROGRAM, or on the PATH, or in the bin
# folder of this prefix), the test NAME-check tries out all that the plugin has.
set(_retrograde_exports "${CMAKE_CURRENT_LIST_DIR}/exports.map")
get_filename_component(_retrograde_bin "${CMAKE_CURRENT_LIST_DIR}/../../../bin" ABSOLUTE)

function(retrograde_add_plugin name)
  if(NOT ARGN)
    message(FATAL_ERROR "retrograde_add_plugin(${name}): no sources were given; name one file or more after the plugin")
  endif()
  add_library(${name} MODULE ${ARGN})
  set_target_properties(${name} PROPERTIES
    PREFIX ""
    SUFFIX "${CMAKE_SHARED_LIBRARY_SUFFIX}"
    C_VISIBILITY_PRESET hidden
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)
  target_link_libraries(${name} PRIVATE retrograde::plugin)
  if(UNIX)
    target_link_libraries(${name} PRIVATE m)
  endif()
  if(APPLE)
    target_link_options(${name} PRIVATE "LINKER:-exported_symbol,_retrograde_plugin_v1")
  elseif(UNIX)
    target_link_options(${name} PRIVATE "LINKER:--version-script=${_retrograde_exports}" "LINKER:-z,defs")
  endif()
  find_program(RETROGRADE_PROGRAM retrograde HINTS "${_retrograde_bin}" DOC "Tries plugins out: retrograde plugin check")
  if(RETROGRADE_PROGRAM)
    # Without enable_testing() this does nothing.
    add_test(NAME ${name}-check COMMAND "${RETROGRADE_PROGRAM}" plugin check "$<TARGET_FILE:${name}>")
  endif()
endfunction()
