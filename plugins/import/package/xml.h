#pragma once
// XML of a stranger, by local names: vendors differ in namespaces and prefixes.

#include <cstdint>
#include <optional>
#include <pugixml.hpp>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/file.h>

namespace kiln::import {

/// At most 4 MiB, nested at most 64 deep, without a document type declaration: nothing is looked up or expanded.
/// Throws Error otherwise, or when it is no XML.
pugi::xml_document parse_xml(const File&);

/// Whether the node's or attribute's local name is that one, in any case: some write "InstanceId".
bool is_called(const char* name, std::string_view wanted);
std::vector<pugi::xml_node> children(pugi::xml_node, std::string_view name);
/// The first one; an empty node when there is none.
pugi::xml_node child(pugi::xml_node, std::string_view name);
/// Without spaces around it; empty when there is no such child.
std::string text_of(pugi::xml_node, std::string_view child);
/// Empty when there is none.
std::string attribute(pugi::xml_node, std::string_view name);
/// The child of that name, or a `Section`, or `Content`, whose xsi:type is "<name>_Type", as OVF 0.9 and oVirt have it.
std::vector<pugi::xml_node> sections(pugi::xml_node, std::string_view name);

/// All of the text as a number; nothing for anything else.
std::optional<std::uint64_t> number_of(std::string_view);
/// Bytes in a unit: "byte * 2^20" (DSP0004 2.6, annex C.1) or a word of OVF 0.9 such as "MegaBytes".
std::optional<std::uint64_t> unit_of(std::string_view);
/// Lower-case ASCII.
std::string lower(std::string_view);

}  // namespace kiln::import
