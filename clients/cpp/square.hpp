// The exact rule (docs/rule.md): a decoded picture of any size as a network's input, R, G, B of each pixel.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>
using Levels = std::vector<float>;
inline Levels along(const Levels& values, int before, int side, int after, int size) {
    Levels out(before * size * after);
    const double wide = std::max(double(side) / size, 1.0);
    for (int i = 0; i < size; i++) {
        const double start = std::clamp((i + 0.5) * side / size - wide / 2, 0.0, side - wide);
        for (int j = start; j < side && j < start + wide; j++) {
            const float share = (std::min(start + wide, j + 1.0) - std::max(start, double(j))) / wide;
            for (int b = 0; b < before; b++)
                for (int a = 0; a < after; a++)
                    out[(b * size + i) * after + a] += share * values[(b * side + j) * after + a];
        }
    }
    return out;
}
inline Levels square(const Levels& rgb, int height, int width, int size) {
    Levels levels = along(along(rgb, 1, height, 3 * width, size), size, width, 3, size);
    for (float& level : levels) level = std::nearbyint(level);
    return levels;
}
