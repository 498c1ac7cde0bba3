# What is installed beside these files: the folder of the libraries, the version, what the static library needs. All of it
# stands in retrograde.pc, so that these files are the same whatever put them here.
get_filename_component(_retrograde "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(_retrograde_version "")
foreach(_retrograde_folder IN ITEMS
    "${_retrograde}/lib/${CMAKE_LIBRARY_ARCHITECTURE}" "${_retrograde}/lib64" "${_retrograde}/lib")
  if(EXISTS "${_retrograde_folder}/pkgconfig/retrograde.pc")
    set(_retrograde_lib "${_retrograde_folder}")
    file(STRINGS "${_retrograde_lib}/pkgconfig/retrograde.pc" _retrograde_version REGEX "^Version: ")
    string(REGEX REPLACE "^Version: *" "" _retrograde_version "${_retrograde_version}")
    file(STRINGS "${_retrograde_lib}/pkgconfig/retrograde.pc" _retrograde_private REGEX "^Libs.private: ")
    string(REGEX REPLACE "^Libs.private: *" "" _retrograde_private "${_retrograde_private}")
    separate_arguments(_retrograde_private UNIX_COMMAND "${_retrograde_private}")
    break()
  endif()
endforeach()
# Each minor version before 1.0 stands for itself.
string(REGEX MATCH "^(0[.][0-9]+|[0-9]+)" _retrograde_named "${_retrograde_version}")
