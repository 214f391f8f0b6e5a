#pragma once
// What check, plan, build and the short verbs have in common: a pipeline is loaded or its problems are shown, then run
// under the observer that fits.

#include <optional>
#include <string>
#include <vector>

#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"
#include "engine/pipeline.h"

namespace kiln::cli {

/// The pipeline that FILE names, with --set applied.
engine::Loaded load(Call&);

/// Shows every problem: on standard error, or as {"error": …, "problems": […]}. Returns the exit code.
int report(const std::vector<engine::Diagnostic>&, Output&);

/// Runs under the console or the JSON-lines observer. `header`: whether the first line of a build is shown.
engine::RunResult run_observed(Call&, const engine::Pipeline&, bool header, const std::vector<std::string>& again = {});

/// The parameters of import for what a person has named: a file, a URL, or "-" for the standard input; and those of the
/// options that say how a URL is fetched.
Table import_of(const Args&, const std::string& what);

/// The parameters of preflight: --profile, --fix, --force.
Table preflight_of(const Args&);

/// For the short verbs: makes the pipeline, runs it, or shows what is wrong with its parameters. Nothing: that was it,
/// with exit code 2.
std::optional<engine::RunResult> run_short(Call&, const std::string& name, const std::vector<engine::StageCall>&,
                                           const std::vector<std::string>& again = {});

}  // namespace kiln::cli
