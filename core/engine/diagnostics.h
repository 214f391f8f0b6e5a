#pragma once
// What is wrong with a pipeline, each with its place. All problems of a file are collected before any is shown.

#include <cstddef>
#include <string>
#include <vector>

#include <kiln/error.h>

namespace kiln::engine {

/// A piece of one line of a pipeline file. Lines and columns count from 1; line 0 means "no file": the pipeline was
/// made from the command line.
struct Place {
  std::size_t line = 0, column = 0;
  std::size_t length = 1;  ///< columns to underline
};

struct Diagnostic {
  std::string file;  ///< as the user gave it; empty without a file
  Place place = {};
  std::string what;         ///< one fact: `stage 2 "customize": unknown parameter "hostnmae"`
  std::string hint = {};    ///< what to do, without "help: "
  std::string source = {};  ///< the text of the line, without its end
  Failure failure = Failure::invalid;
};

/// "file:line:column: error: …", the source line, a caret and the hint, each line ended by a newline. No colour.
std::string render(const Diagnostic&);
/// All of them, then "2 problems; nothing was run".
std::string render(const std::vector<Diagnostic>&);
/// A JSON array of objects with file, line, column, length, message, hint.
std::string render_json(const std::vector<Diagnostic>&);

}  // namespace kiln::engine
