#!/usr/bin/python3
"""Files have at most 500 lines. (Functions of more than 40 lines are clang-tidy's to find.)"""

import tree

LIMIT = 500
problems = []
for path in tree.files(".h", ".cpp", ".py", ".cmake", "CMakeLists.txt", ".sh", "run"):
    count = len(tree.text(path).splitlines())
    if count > LIMIT:
        problems.append(f"{path}:{LIMIT}: {count} lines; a file has at most {LIMIT}")
tree.finish(problems, "sizes")
