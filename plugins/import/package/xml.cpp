#include "package/xml.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include <kiln/finding.h>

namespace kiln::import {
namespace {

constexpr std::uint64_t most_bytes = 4u << 20;
constexpr int most_depth = 64;

struct DepthLimit final : pugi::xml_tree_walker {
  bool for_each(pugi::xml_node&) override { return depth() < most_depth; }
};

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

bool multiply(std::uint64_t& value, std::uint64_t by) {
  if (by != 0 && value > UINT64_MAX / by) return false;
  value *= by;
  return true;
}

/// "2^20", "1024"
std::optional<std::uint64_t> factor(std::string_view text) {
  const std::size_t caret = text.find('^');
  const auto base = number_of(trimmed(text.substr(0, caret)));
  if (!base || caret == std::string_view::npos) return base;
  const auto exponent = number_of(trimmed(text.substr(caret + 1)));
  std::uint64_t value = 1;
  if (!exponent || *exponent > 64) return std::nullopt;
  for (std::uint64_t i = 0; i < *exponent; ++i)
    if (!multiply(value, *base)) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> word(const std::string& text) {
  constexpr std::array<std::pair<std::string_view, unsigned>, 15> words{{{"byte", 0},
                                                                         {"bytes", 0},
                                                                         {"kilobytes", 10},
                                                                         {"kb", 10},
                                                                         {"kib", 10},
                                                                         {"megabytes", 20},
                                                                         {"mb", 20},
                                                                         {"mib", 20},
                                                                         {"gigabytes", 30},
                                                                         {"gb", 30},
                                                                         {"gib", 30},
                                                                         {"terabytes", 40},
                                                                         {"tb", 40},
                                                                         {"tib", 40},
                                                                         {"b", 0}}};
  for (const auto& [name, shift] : words)
    if (text == name) return std::uint64_t{1} << shift;
  return std::nullopt;
}

}  // namespace

pugi::xml_document parse_xml(const File& file) {
  const std::uint64_t size = file.size();
  if (size > most_bytes)
    throw refused(file.path().string() + " is too large for an OVF", "is it the right file?",
                  {std::to_string(size) + " bytes, at most " + std::to_string(most_bytes) + " are read"})
        .as(code::archive);
  std::vector<std::byte> bytes(size);
  file.read_at(0, bytes);
  pugi::xml_document document;
  const auto result = document.load_buffer(bytes.data(), bytes.size(), pugi::parse_default | pugi::parse_doctype);
  if (!result)
    throw damaged(
        file, "XML, byte " + std::to_string(std::max<std::ptrdiff_t>(result.offset, 0)) + ": " + result.description());
  for (const pugi::xml_node& node : document.children())
    if (node.type() == pugi::node_doctype)
      throw refused(file.path().string() + " has a document type declaration",
                    "no OVF needs one: ask whoever made it for one without", {in_quotes(node.value())})
          .as(code::archive);
  DepthLimit limit;
  if (!document.traverse(limit))
    throw damaged(file, "XML: elements are nested more than " + std::to_string(most_depth) + " deep");
  return document;
}

bool is_called(const char* name, std::string_view wanted) {
  std::string_view local = name;
  if (const std::size_t colon = local.rfind(':'); colon != std::string_view::npos) local.remove_prefix(colon + 1);
  return local.size() == wanted.size() && ::strncasecmp(local.data(), wanted.data(), wanted.size()) == 0;
}

std::vector<pugi::xml_node> children(pugi::xml_node node, std::string_view name) {
  std::vector<pugi::xml_node> out;
  for (const pugi::xml_node& one : node.children())
    if (one.type() == pugi::node_element && is_called(one.name(), name)) out.push_back(one);
  return out;
}

pugi::xml_node child(pugi::xml_node node, std::string_view name) {
  const std::vector<pugi::xml_node> all = children(node, name);
  return all.empty() ? pugi::xml_node() : all.front();
}

std::string text_of(pugi::xml_node node, std::string_view name) {
  return std::string(trimmed(child(node, name).text().get()));
}

std::string attribute(pugi::xml_node node, std::string_view name) {
  for (const pugi::xml_attribute& one : node.attributes())
    if (is_called(one.name(), name) && std::strncmp(one.name(), "xmlns", 5) != 0)
      return std::string(trimmed(one.value()));
  return {};
}

std::vector<pugi::xml_node> sections(pugi::xml_node node, std::string_view name) {
  std::vector<pugi::xml_node> out;
  const std::string type = std::string(name) + "_Type";
  for (const pugi::xml_node& one : node.children()) {
    const bool typed = is_called(one.name(), "Section") || is_called(one.name(), "Content");
    if (is_called(one.name(), name) || (typed && is_called(attribute(one, "type").c_str(), type))) out.push_back(one);
  }
  return out;
}

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> unit_of(std::string_view text) {
  std::string plain = lower(text);
  std::erase(plain, ' ');
  std::uint64_t value = 1;
  for (std::string_view rest = plain;;) {
    const std::size_t star = std::min(rest.find('*'), rest.size());
    const std::string_view one = rest.substr(0, star);
    const auto times = word(std::string(one));
    const auto by = times ? times : factor(one);
    if (!by || *by == 0 || !multiply(value, *by)) return std::nullopt;
    if (star == rest.size()) return value;
    rest.remove_prefix(star + 1);
  }
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

}  // namespace kiln::import
