#include <algorithm>
#include <array>
#include <random>
#include <sstream>

#include "pipelines.h"

namespace kiln::fuzz {
namespace {

using Random = std::mt19937_64;
using Lines = std::vector<std::string>;

std::string value(Random& random) {
  static const std::array<std::string, 24> values{"-1",
                                                  "9223372036854775807",
                                                  "9223372036854775808",
                                                  "0x7fffffffffffffff",
                                                  "1e308",
                                                  "nan",
                                                  "1979-05-27T07:32:00Z",
                                                  "true",
                                                  "\"\"",
                                                  "\"${\"",
                                                  "\"${disk}\"",
                                                  "\"${${disk}}\"",
                                                  "\"16E\"",
                                                  "\"-1G\"",
                                                  "\"99999999999999999999s\"",
                                                  "\"/\"",
                                                  "\"../../../../etc/hostname\"",
                                                  "\"\\u0000\"",
                                                  "'''\n\n'''",
                                                  "[]",
                                                  "[[], {}]",
                                                  "{ a = { b = { c = [1, \"2\"] } } }",
                                                  "",
                                                  "\"\xff\xfe\""};
  if (random() % 16 == 0) return std::string(random() % 600, '[') + std::string(random() % 600, ']');
  if (random() % 16 == 0) return '"' + std::string(random() % 100'000, 'x') + '"';
  return values[random() % values.size()];
}

std::string& any(Lines& lines, Random& random) {
  return lines[random() % lines.size()];
}

void mutate_once(Lines& lines, Random& random) {
  std::string& line = any(lines, random);
  const std::size_t equals = line.find('=');
  switch (random() % 8) {
    case 0:
    case 1:
    case 2:
      if (equals != std::string::npos) line = line.substr(0, equals + 1) + ' ' + value(random);
      break;
    case 3:
      if (equals != std::string::npos) line = value(random) + " " + line.substr(equals);
      break;
    case 4:
      lines.push_back(line);
      break;
    case 5:
      std::swap(line, any(lines, random));
      break;
    case 6:
      if (!line.empty()) line[random() % line.size()] = static_cast<char>(random());
      break;
    default:
      line.resize(line.empty() ? 0 : random() % line.size());
  }
}

}  // namespace

std::string mutated_text(const std::string& seed, std::uint64_t number) {
  Random random(number);
  Lines lines;
  std::istringstream in(seed);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  if (lines.empty()) lines.emplace_back();
  for (std::uint64_t times = random() % 3 + 1; times > 0; --times) mutate_once(lines, random);
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

}  // namespace kiln::fuzz
