#!/usr/bin/python3
"""plot.py POINTS SVG: two log-log plots side by side, of lines "NAME X SECONDS": content in GiB, and number of images."""

import math
import sys

COLOURS = ["#0072b2", "#d55e00", "#009e73"]
WIDTH, HEIGHT, LEFT, TOP, GAP = 320, 260, 60, 40, 110


def read(path):
    series = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, x, y = line.rstrip("\n").rsplit(" ", 2)
            series.setdefault(name, []).append((float(x), float(y)))
    return series


def decades(values):
    return range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)


def panel(title, unit, series, left):
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    x_range, y_range = decades(xs), decades(ys)

    def place(x, y):
        across = (math.log10(x) - x_range[0]) / max(1, x_range[-1] - x_range[0])
        up = (math.log10(y) - y_range[0]) / max(1, y_range[-1] - y_range[0])
        return left + across * WIDTH, TOP + HEIGHT - up * HEIGHT

    out = [f'<text x="{left}" y="{TOP - 18}" font-weight="bold">{title}</text>']
    for power in x_range:
        x, _ = place(10.0**power, ys[0])
        out.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{TOP + HEIGHT}" stroke="#ddd"/>')
        out.append(f'<text x="{x:.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{10**power:,}</text>')
    for power in y_range:
        _, y = place(xs[0], 10.0**power)
        out.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + WIDTH}" y2="{y:.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g} s</text>')
    out.append(f'<text x="{left + WIDTH / 2}" y="{TOP + HEIGHT + 38}" text-anchor="middle">{unit}</text>')
    for colour, (name, points) in zip(COLOURS, series.items()):
        places = [place(x, y) for x, y in points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        out.append(f'<text x="{places[-1][0] - 4:.1f}" y="{places[-1][1] - 8:.1f}" text-anchor="end" fill="{colour}">{name}</text>')
    return out


def main():
    series = read(sys.argv[1])
    images = {name: points for name, points in series.items() if points[0][0] >= 10}
    content = {name: points for name, points in series.items() if name not in images}
    width, height = LEFT + WIDTH + GAP + WIDTH + 40, TOP + HEIGHT + 60
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/>']
    out += panel("Seconds by an image's content", "GiB of data", content, LEFT)
    out += panel("Seconds by the number of images", "images in the catalog", images, LEFT + WIDTH + GAP)
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write("\n".join([*out, "</svg>"]) + "\n")


main()
