#!/usr/bin/env python3
"""Draws a ship at sea, 32×32, for the picture of `rnc explain`: draw.py OUT.png"""

import sys

from PIL import Image, ImageDraw

SCALE = 8  # drawn large and made small: edges come out smooth


def ship() -> Image.Image:
    image = Image.new("RGB", (32 * SCALE, 32 * SCALE), (176, 204, 232))
    draw = ImageDraw.Draw(image)

    def polygon(points, colour):
        draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=colour)

    polygon([(0, 21), (32, 21), (32, 32), (0, 32)], (38, 78, 118))
    for y in (24, 27, 30):
        draw.line([(0, y * SCALE), (32 * SCALE, (y - 0.5) * SCALE)], fill=(70, 112, 150), width=SCALE // 2)
    polygon([(13, 18), (31, 18), (28, 24), (15, 24)], (120, 30, 30))
    polygon([(13, 17), (31, 17), (31, 18.5), (13, 18.5)], (235, 235, 235))
    polygon([(17, 12), (27, 12), (27, 17), (17, 17)], (225, 225, 228))
    polygon([(19, 8), (22, 8), (22, 12), (19, 12)], (200, 60, 40))
    for x in (18.5, 21, 23.5):
        polygon([(x, 13.5), (x + 1.2, 13.5), (x + 1.2, 15), (x, 15)], (50, 60, 80))
    return image.resize((32, 32), Image.LANCZOS)


if __name__ == "__main__":
    ship().save(sys.argv[1])
