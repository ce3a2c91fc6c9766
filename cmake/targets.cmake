# How this project's targets are made. A folder without sources makes no target.

# lightning_sources(VARIABLE FOLDER...): the .cc files right inside each folder, tests and mains excluded.
# The list follows the tree: a new file needs no edit here, and ninja configures again when one comes or goes.
function(lightning_sources variable)
  set(all)
  foreach(folder IN LISTS ARGN)
    file(GLOB found CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cc)
    list(APPEND all ${found})
  endforeach()
  list(FILTER all EXCLUDE REGEX "(_test|_main|/main)\\.cc$")
  set(${variable} ${all} PARENT_SCOPE)
endfunction()

# Warnings, sanitizers and the root of the repository as include directory: internal headers are included as
# "store/log/transaction.h", public ones as "lightning/client.h".
function(lightning_flags target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -fno-semantic-interposition
                                           $<$<COMPILE_LANGUAGE:CXX>:-fvisibility-inlines-hidden>)
  # Empty on purpose: a source that defines the macro itself does not redefine it to something else.
  target_compile_definitions(${target} PRIVATE "XXH_INLINE_ALL=")
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  if(LIGHTNING_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(LIGHTNING_WATCH_WINDOWS)
    target_compile_definitions(${target} PRIVATE LIGHTNING_WATCH_WINDOWS=1)
    target_link_options(${target} PUBLIC -Wl,-z,now) # the linker's own work at a first call is not a window's
    # Each call and jump through a pointer by a thunk of store/watch/recorder.cc; those of a switch are none.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-mindirect-branch=thunk-extern>
                                             $<$<COMPILE_LANGUAGE:CXX>:-mindirect-branch-register>
                                             $<$<COMPILE_LANGUAGE:CXX>:-fno-jump-tables>)
  endif()
  if(LIGHTNING_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${LIGHTNING_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${LIGHTNING_SANITIZE})
  endif()
endfunction()

# lightning_batches(TARGET): its sources are compiled six at a time, and what they include once for them: a quarter of the
# time for command lines. Names outside of headers must be the target's only ones; ci/lint compiles each source by itself.
function(lightning_batches target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${LIGHTNING_BATCHES} UNITY_BUILD_BATCH_SIZE 6)
endfunction()

# lightning_quick(TARGET [HEADER...]): a target whose speed nobody measures (tests, command lines) takes half of the time to
# compile, and these headers are compiled once for it. Line numbers stay.
function(lightning_quick target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1> $<$<CONFIG:Release>:-g1>)
  if(ARGN)
    list(TRANSFORM ARGN REPLACE "^<(.*)>$" "$<$<COMPILE_LANGUAGE:CXX>:<\\1$<ANGLE-R>>")
    target_precompile_headers(${target} PRIVATE ${ARGN})
    # Where headers are precompiled gcc 12 warns of its own std::string. ci/lint compiles without.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds>
                                             $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow>)
  endif()
endfunction()

# lightning_program(NAME SOURCES file... [LINK library...])
function(lightning_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK")
  if(NOT arg_SOURCES)
    message(STATUS "${name}: no sources, no target")
    return()
  endif()
  add_executable(${name} ${arg_SOURCES})
  lightning_flags(${name})
  target_link_libraries(${name} PRIVATE ${arg_LINK} Threads::Threads)
endfunction()

# lightning_tests(NAME [LINK library...] [WITHOUT folder...] [ONLY folder...]): every *_test.cc at or below this folder, in one GoogleTest executable, with
# the *_check.c that they call: C programs' view of the C API.
# The tests find the programs they start beside their own executable; LIGHTNING_BIN_DIR names that folder too.
function(lightning_tests name)
  if(NOT LIGHTNING_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK;WITHOUT;ONLY")
  file(GLOB_RECURSE tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cc ${CMAKE_CURRENT_SOURCE_DIR}/*_check.c)
  foreach(folder IN LISTS arg_ONLY)
    list(FILTER tests INCLUDE REGEX "^${CMAKE_CURRENT_SOURCE_DIR}/${folder}/")
  endforeach()
  foreach(folder IN LISTS arg_WITHOUT)
    list(FILTER tests EXCLUDE REGEX "^${CMAKE_CURRENT_SOURCE_DIR}/${folder}/")
  endforeach()
  if(NOT tests)
    message(STATUS "${name}: no sources, no target")
    return()
  endif()
  lightning_program(${name} SOURCES ${tests} ${arg_SOURCES} LINK ${arg_LINK} GTest::gtest GTest::gtest_main)
  lightning_quick(${name} <gtest/gtest.h>)
  target_compile_definitions(${name} PRIVATE LIGHTNING_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}"
                                             LIGHTNING_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
endfunction()

# lightning_mains(FOLDER... [LINK library...]): each FOLDER/foo_bar_main.cc becomes the program foo-bar.
function(lightning_mains)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "LINK")
  foreach(folder IN LISTS arg_UNPARSED_ARGUMENTS)
    file(GLOB mains CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*_main.cc)
    foreach(main IN LISTS mains)
      get_filename_component(name ${main} NAME_WE)
      string(REGEX REPLACE "_main$" "" name ${name})
      string(REPLACE "_" "-" name ${name})
      lightning_program(${name} SOURCES ${main} LINK ${arg_LINK})
    endforeach()
  endforeach()
endfunction()
