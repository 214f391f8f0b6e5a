# How kiln itself is compiled, and the functions its own folders use.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# The build tree has the shape of the installed one, so that the program finds its plugins the same way in both.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_INSTALL_RPATH $ORIGIN/../${CMAKE_INSTALL_LIBDIR})

option(KILN_WERROR "Warnings are errors" ON)
add_library(kiln_warnings INTERFACE)
target_compile_options(kiln_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Woverloaded-virtual
                                               $<$<BOOL:${KILN_WERROR}>:-Werror>
                                               # g++ 12 sees overlaps in std::string::insert that cannot be (PR 105651)
                                               $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
add_compile_definitions($<$<CONFIG:Debug>:_GLIBCXX_ASSERTIONS>)

# kiln_add_module(disk SOURCES pump.cpp … [PUBLIC kiln::sdk …] [PRIVATE OpenSSL::Crypto …])
# A folder of core/ as a static library, kiln::<name>. Its headers are included as "<name>/x.h".
function(kiln_add_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(kiln_${name} STATIC ${ARG_SOURCES})
  add_library(kiln::${name} ALIAS kiln_${name})
  target_include_directories(kiln_${name} PUBLIC ${PROJECT_SOURCE_DIR}/core)
  target_link_libraries(kiln_${name} PUBLIC kiln::sdk ${ARG_PUBLIC} PRIVATE kiln_warnings ${ARG_PRIVATE})
endfunction()

# kiln_add_test(disk SOURCES pump_test.cpp … [LINK kiln::disk …] [GUEST] [LONG] [WHOLE])
# One test program of a folder; every TEST in it is a test of ctest. GUEST: it starts a machine or an appliance, LONG: it
# takes minutes; `tests/run quick` leaves both out. WHOLE: the program is one test, because its tests share a server. A name is made of the folder and the kind: disk, disk_guest.
function(kiln_add_test name)
  cmake_parse_arguments(ARG "GUEST;LONG;WHOLE" "TIMEOUT" "SOURCES;LINK" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  set(target test_${name})
  add_executable(${target} ${ARG_SOURCES})
  target_link_libraries(${target} PRIVATE ${ARG_LINK} kiln_warnings GTest::gmock GTest::gtest_main)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  # What is tested is optimized; optimizing the tests themselves would take half of the whole build's time.
  target_compile_options(${target} PRIVATE -O0)
  target_compile_definitions(${target} PRIVATE KILN_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                                               KILN_BINARY_DIR="${CMAKE_BINARY_DIR}")
  set(label quick)
  if(ARG_GUEST)
    set(label guest)
  elseif(ARG_LONG)
    set(label long)
  endif()
  if(ARG_WHOLE)
    add_test(NAME ${name} COMMAND ${target})
    set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${ARG_TIMEOUT})
    return()
  endif()
  gtest_discover_tests(${target} TEST_PREFIX "${name}." DISCOVERY_MODE PRE_TEST
                       PROPERTIES LABELS ${label} TIMEOUT ${ARG_TIMEOUT})
endfunction()
