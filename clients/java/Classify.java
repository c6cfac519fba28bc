import com.sun.jna.*;
import com.sun.jna.ptr.PointerByReference;
import java.io.File;
import java.nio.file.*;
import java.util.*;
import javax.imageio.ImageIO;

/** Answers for pictures by an exported model: Classify model.onnx labels.txt SIZE PICTURE... */
class Classify {
    @Structure.FieldOrder({"least", "most", "sides"})
    public static class Shape extends Structure implements Structure.ByValue {
        public long least = 4, most = 4; public Pointer sides = new Memory(64); }
    static Pointer call(String name, Object... given) {  // what OpenVINO's C function gives by its last argument
        PointerByReference made = new PointerByReference();
        List<Object> all = new ArrayList<>(Arrays.asList(given));
        Collections.replaceAll(all, "->", made);
        Function function = Function.getFunction(System.getProperty("openvino", "openvino_c"), "ov_" + name);
        if (function.invokeInt(all.toArray()) != 0) throw new IllegalStateException(name);
        return made.getValue();
    }
    public static void main(String[] given) throws Exception {
        List<String> classes = Files.readAllLines(Path.of(given[1]));
        int size = Integer.parseInt(given[2]);
        Shape shape = new Shape(); shape.sides.write(0, new long[] {1, 1, size, size, size, size, 3, 3}, 0, 8);
        Pointer core = call("core_create", "->"), model = call("core_read_model", core, given[0], null, "->");
        call("model_reshape_single_input", model, shape);
        Pointer compiled = call("core_compile_model", core, model, "CPU", 2L, "->", "INFERENCE_PRECISION_HINT", "f32");
        Pointer request = call("compiled_model_create_infer_request", compiled, "->");
        Pointer x = call("tensor_data", call("infer_request_get_tensor", request, "x", "->"), "->");
        for (String picture : Arrays.asList(given).subList(3, given.length)) {
            x.write(0, Square.of(ImageIO.read(new File(picture)), size), 0, size * size * 3);
            call("infer_request_infer", request);
            float[] shares = call("tensor_data", call("infer_request_get_tensor", request, "y_pred", "->"), "->")
                .getFloatArray(0, classes.size());
            int best = 0; for (int k = 1; k < shares.length; k++) if (shares[k] > shares[best]) best = k;
            System.out.printf("%s\t%.6f\t%s%n", classes.get(best), shares[best], picture);
        }
    }
}
