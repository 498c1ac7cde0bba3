# Targets retrograde::retrograde (shared), retrograde::static, and retrograde::plugin (headers only); the function
# retrograde_add_plugin.
include("${CMAKE_CURRENT_LIST_DIR}/retrogradeInstalled.cmake")
if(NOT _retrograde_version)
  set(retrograde_FOUND FALSE)
  set(retrograde_NOT_FOUND_MESSAGE "there is no pkgconfig/retrograde.pc in lib, lib64 or that of the architecture in ${_retrograde}")
  return()
endif()
if(NOT TARGET retrograde::retrograde)
  add_library(retrograde::plugin INTERFACE IMPORTED)
  set_target_properties(retrograde::plugin PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_retrograde}/include")
  if(APPLE)
    set(_retrograde_file "libretrograde.${_retrograde_named}.dylib")
  else()
    set(_retrograde_file "libretrograde.so.${_retrograde_named}")
  endif()
  add_library(retrograde::retrograde SHARED IMPORTED)
  set_target_properties(retrograde::retrograde PROPERTIES
    IMPORTED_LOCATION "${_retrograde_lib}/${_retrograde_file}"
    IMPORTED_SONAME "${_retrograde_file}"
    INTERFACE_INCLUDE_DIRECTORIES "${_retrograde}/include")
  add_library(retrograde::static STATIC IMPORTED)
  set_target_properties(retrograde::static PROPERTIES
    IMPORTED_LOCATION "${_retrograde_lib}/libretrograde.a"
    INTERFACE_LINK_LIBRARIES "${_retrograde_private}"
    INTERFACE_INCLUDE_DIRECTORIES "${_retrograde}/include")
endif()
include("${CMAKE_CURRENT_LIST_DIR}/retrogradePlugin.cmake")
