#pragma once
// The one table of what kiln can be asked to do. Parsing, help and dispatch all read it; adding a verb is one row here
// and one function in a file of its own.

#include <stop_token>
#include <string_view>
#include <vector>

#include "cli/args.h"

namespace kiln::cli {

class Output;
class Services;

/// What a verb gets to work with.
struct Call {
  const Args& args;
  Output& out;           ///< where the answer goes
  Services& services;    ///< plugins, catalog and machines, each opened when it is first asked for
  std::stop_token stop;  ///< the user pressed Ctrl-C
};

struct Verb {
  std::string_view name;  ///< "build", or "image list" for a verb of a group
  std::string_view help;
  std::vector<Arg> args;
  /// Returns the exit code. Throws Error for everything that goes wrong.
  int (*run)(Call&);
};

const std::vector<Verb>& verbs();
/// What the help says about a group of verbs such as "image".
std::string_view group_help(std::string_view group);

int run_check(Call&);
int run_plan(Call&);
int run_build(Call&);
int run_convert(Call&);
int run_inspect(Call&);
int run_import(Call&);
int run_image_list(Call&);
int run_image_show(Call&);
int run_image_verify(Call&);
int run_image_export(Call&);
int run_image_diff(Call&);
int run_image_rm(Call&);
int run_image_restore(Call&);
int run_image_prune(Call&);
int run_image_copy(Call&);
int run_image_sync(Call&);
int run_image_repair(Call&);
int run_image_promote(Call&);
int run_image_rollback(Call&);
int run_image_channel(Call&);
int run_image_tag(Call&);
int run_image_deprecate(Call&);
int run_image_revoke(Call&);
int run_image_protect(Call&);
int run_image_public(Call&);
int run_gc(Call&);
int run_quota_list(Call&);
int run_quota_set(Call&);
int run_share_add(Call&);
int run_share_cancel(Call&);
int run_share_list(Call&);
int run_share_accept(Call&);
int run_share_reject(Call&);
int run_region_list(Call&);
int run_image_sign(Call&);
int run_key_new(Call&);
int run_key_list(Call&);
int run_key_trust(Call&);
int run_key_export(Call&);
int run_policy_check(Call&);
int run_usage(Call&);
int run_launch(Call&);
int run_apply(Call&);
int run_backup(Call&);
int run_backup_verify(Call&);
int run_backup_timer(Call&);
int run_restore(Call&);
int run_ps(Call&);
int run_capture(Call&);
int run_console(Call&);
int run_logs(Call&);
int run_exec(Call&);
int run_cp(Call&);
int run_ssh(Call&);
int run_screenshot(Call&);
int run_stop(Call&);
int run_clone(Call&);
int run_detach(Call&);
int run_start(Call&);
int run_restart(Call&);
int run_rm(Call&);
int run_doctor(Call&);
int run_plugin_list(Call&);
int run_plugin_info(Call&);
int run_plugin_check(Call&);
int run_plugin_schema(Call&);
int run_cache_list(Call&);
int run_cache_clear(Call&);

}  // namespace kiln::cli
