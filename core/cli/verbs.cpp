#include "cli/verbs.h"

namespace kiln::cli {
namespace {

const Arg pipeline_file{"FILE", Given::positional, "", "A pipeline: a TOML file, or the name of a ready-made one"};
const Arg set{"--set", Given::values, "NAME=VALUE", "Sets a variable of [vars]"};
const Arg accel{"--accel", Given::value, "kvm|tcg", "Uses this accelerator, whatever the probe found"};
const Arg image{"IMAGE", Given::positional, "", "NAME (the newest) or NAME:VERSION"};
const Arg instance{"NAME", Given::positional, "", "An instance, as kiln ps shows it"};

}  // namespace

// NOLINTNEXTLINE(readability-function-size): a table
const std::vector<Verb>& verbs() {
  static const std::vector<Verb> all = {
      {"check", "Says what is wrong with a pipeline, without running anything", {pipeline_file, set}, run_check},
      {"plan",
       "Shows what a build would do",
       {pipeline_file, set, {"--why", Given::flag, "", "Says what changed since a stage was last run"}},
       run_plan},
      {"build",
       "Runs a pipeline, from where its results are still there",
       {pipeline_file,
        set,
        {"--again", Given::values, "STAGE", "Runs this stage even when its result is there"},
        accel},
       run_build},
      {"convert",
       "Writes a disk in another format",
       {{"IN", Given::positional, "", "The disk to read"},
        {"OUT", Given::positional, "", "The file to write; its extension names the format"},
        {"--from", Given::value, "FORMAT", "The format of IN; found by its content when not given"},
        {"--to", Given::value, "FORMAT", "The format of OUT"},
        {"-o,--option", Given::values, "KEY=VALUE", "An option of the format written, see kiln plugin info"}},
       run_convert},
      {"inspect",
       "Shows what a disk's container says of itself",
       {{"FILE", Given::positional, "", "The disk"},
        {"--format", Given::value, "FORMAT", "Its format; found by its content when not given"},
        {"--digest", Given::flag, "", "Reads the disk and prints the digest of its content"}},
       run_inspect},
      {"import",
       "Publishes a disk from a file as an image",
       {{"FILE", Given::positional, "", "The disk"},
        {"--name", Given::value, "NAME", "The image's name (required)"},
        {"--version", Given::value, "VERSION", "Its version; the next one of today when not given"},
        {"--format", Given::value, "FORMAT", "The disk's format; found by its content when not given"},
        {"--sha256", Given::value, "DIGEST", "Refuses the file unless it has this digest"},
        accel},
       run_import},
      {"image list",
       "Lists the images",
       {{"NAME", Given::optional, "", "Only the versions of this one"}},
       run_image_list},
      {"image show", "Shows all that is known of an image", {image}, run_image_show},
      {"image verify",
       "Reads stored content and compares the digests",
       {{"IMAGE", Given::optional, "", "Only this one; the whole store when not given"}},
       run_image_verify},
      {"image export",
       "Writes an image's disk to a file",
       {image,
        {"FILE", Given::positional, "", "The file to write; its extension names the format"},
        {"--format", Given::value, "FORMAT", "The format to write"},
        {"-o,--option", Given::values, "KEY=VALUE", "An option of the format"}},
       run_image_export},
      {"image rm", "Removes an image that no instance uses", {image}, run_image_rm},
      {"launch",
       "Starts a machine from an image",
       {image,
        {"--name", Given::value, "NAME", "The instance's name; made from the image's when not given"},
        {"--memory", Given::value, "SIZE", "Memory, 1G when not given"},
        {"--cpus", Given::value, "N", "Processors, 2 when not given"},
        {"--port", Given::values, "HOST:GUEST", "Makes the guest's TCP port reachable on this host's loopback"},
        {"--ssh-key", Given::values, "FILE", "Lets the holder of this public key log in"},
        {"--user-data", Given::value, "FILE", "cloud-init user data, instead of what --ssh-key makes"},
        accel},
       run_launch},
      {"ps", "Lists the instances", {}, run_ps},
      {"console",
       "Opens an instance's serial console, or prints what it wrote when there is no terminal",
       {instance},
       run_console},
      {"stop",
       "Shuts an instance down",
       {instance, {"--timeout", Given::value, "DURATION", "How long the guest may take before it is cut off, 60s"}},
       run_stop},
      {"rm",
       "Removes an instance and its disk",
       {instance, {"--force", Given::flag, "", "Stops it first when it runs"}},
       run_rm},
      {"doctor", "Checks what kiln needs of this host, and says what mends it", {}, run_doctor},
      {"plugin list", "Lists the stages and the formats that are installed", {}, run_plugin_list},
      {"plugin info",
       "Shows a stage's or a format's parameters",
       {{"NAME", Given::positional, "", "A stage or a format"},
        {"--markdown", Given::flag, "", "As the table that its README holds"}},
       run_plugin_info},
      {"plugin check",
       "Loads a plugin's file and says whether it fits this kiln",
       {{"FILE", Given::positional, "", "kiln-stage-NAME.so or kiln-format-NAME.so"}},
       run_plugin_check},
      {"plugin schema", "Prints the JSON Schema of pipeline files, for editors", {}, run_plugin_schema},
      {"cache list", "Lists the results of stages that are kept", {}, run_cache_list},
      {"cache clear", "Removes the kept results; images and instances stay", {}, run_cache_clear},
  };
  return all;
}

std::string_view group_help(std::string_view group) {
  if (group == "image") return "The images that were published";
  if (group == "plugin") return "The stages and formats that are installed";
  return "The results of stages that are kept";
}

}  // namespace kiln::cli
