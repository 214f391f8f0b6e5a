#include "secrets.h"

#include <algorithm>
#include <vector>

#include <kiln/text.h>

#include "text.h"

namespace kiln::preflight {
namespace {

struct Kind {
  const char* what;
  std::vector<const char*> patterns;
  std::string_view mark;  ///< what a file of this kind contains; empty: being there is enough
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all{
      {"private SSH keys of users", {"/root/.ssh/*", "/home/*/.ssh/*"}, "PRIVATE KEY-----"},
      {"credentials of clouds",
       {"/root/.aws/credentials", "/home/*/.aws/credentials", "/root/.azure/*.json", "/home/*/.azure/*.json",
        "/root/.config/gcloud/*.db", "/home/*/.config/gcloud/*.db", "/root/.config/gcloud/*.json",
        "/home/*/.config/gcloud/*.json", "/root/.config/openstack/*.yaml", "/home/*/.config/openstack/*.yaml"},
       ""},
      {"keys of Kubernetes clusters",
       {"/root/.kube/config", "/home/*/.kube/config", "/etc/kubernetes/*.conf", "/etc/rancher/*/*.yaml"},
       ""},
      {"logins of registries and servers",
       {"/root/.docker/config.json", "/home/*/.docker/config.json", "/root/.netrc", "/home/*/.netrc",
        "/root/.git-credentials", "/home/*/.git-credentials", "/root/.pgpass", "/home/*/.pgpass"},
       ""},
      {"what a cloud told the machine, which may hold passwords",
       {"/var/lib/cloud/instances/*/user-data.txt", "/var/lib/cloud/instances/*/vendor-data.txt",
        "/var/lib/waagent/ovf-env.xml", "/var/lib/waagent/*.prv"},
       ""},
  };
  return all;
}

bool holds(Guest& g, const std::string& path, std::string_view mark) {
  if (!g.is_file(path)) return false;
  return mark.empty() || text_of(g, path).value_or("").find(mark) != std::string::npos;
}

std::vector<std::string> files_of(Guest& g, const Kind& kind) {
  std::vector<std::string> out;
  for (const std::string& path : glob_all(g, kind.patterns))
    if (holds(g, path, kind.mark)) out.push_back(printable(path, 200));
  shorten(out);
  return out;
}

}  // namespace

Findings look_at_secrets(const System& system) {
  Findings out;
  for (const Kind& kind : kinds()) {
    std::vector<std::string> files = files_of(system.guest, kind);
    if (files.empty()) continue;
    out.push_back({.code = std::string(code::secrets),
                   .severity = Severity::warning,
                   .what = std::string("the disk holds ") + kind.what,
                   .evidence = std::move(files),
                   .hint =
                       "delete them with the stage customize, then let sysprep wipe the free space; who had the disk "
                       "may have read them, so make new ones"});
  }
  std::vector<std::string> host_keys = system.guest.glob("/etc/ssh/ssh_host_*_key");
  if (!host_keys.empty())
    out.push_back({.code = std::string(code::secrets),
                   .severity = Severity::note,
                   .what = "the disk holds the SSH host keys of one machine",
                   .evidence = std::move(host_keys),
                   .hint = "the stage sysprep removes them: each machine then makes its own"});
  return out;
}

}  // namespace kiln::preflight
