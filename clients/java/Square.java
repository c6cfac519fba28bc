import java.awt.image.BufferedImage;

/** The exact rule (docs/rule.md): a decoded picture of any size as a network's input, R, G, B of each pixel. */
class Square {
    static float[] of(BufferedImage image, int size) {
        int width = image.getWidth(), height = image.getHeight();
        int[] pixels = image.getRGB(0, 0, width, height, null, 0, width);
        float[] rgb = new float[3 * pixels.length];
        for (int i = 0; i < rgb.length; i++) rgb[i] = pixels[i / 3] >> (16 - 8 * (i % 3)) & 255;
        return of(rgb, height, width, size);
    }

    static float[] of(float[] rgb, int height, int width, int size) {
        float[] levels = along(along(rgb, 1, height, 3 * width, size), size, width, 3, size);
        for (int i = 0; i < levels.length; i++) levels[i] = (float) Math.rint(levels[i]);
        return levels;
    }

    private static float[] along(float[] values, int before, int side, int after, int size) {
        float[] out = new float[before * size * after];
        double wide = Math.max((double) side / size, 1);
        for (int i = 0; i < size; i++) {
            double start = Math.min(Math.max((i + 0.5) * side / size - wide / 2, 0), side - wide);
            for (int j = (int) start; j < side && j < start + wide; j++) {
                float share = (float) ((Math.min(start + wide, j + 1) - Math.max(start, j)) / wide);
                for (int b = 0; b < before; b++)
                    for (int a = 0; a < after; a++)
                        out[(b * size + i) * after + a] += share * values[(b * side + j) * after + a];
            }
        }
        return out;
    }
}
