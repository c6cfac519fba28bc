// Answers for pictures by an exported model: classify model.onnx labels.txt SIZE PICTURE...
#include <fstream>
#include <iostream>
#include <opencv2/imgcodecs.hpp>
#include <openvino/openvino.hpp>

#include "square.hpp"

int main(int count, char** given) {
    if (count < 5) return 2;
    std::vector<std::string> classes;
    std::ifstream labels(given[2]);
    for (std::string name; std::getline(labels, name);) classes.push_back(name);
    const int size = std::stoi(given[3]);
    ov::Core core;
    auto model = core.read_model(given[1]);
    model->reshape(ov::PartialShape{1, size, size, 3});
    auto exact = ov::hint::inference_precision(ov::element::f32);
    auto request = core.compile_model(model, "CPU", exact).create_infer_request();
    for (int number = 4; number < count; number++) {
        cv::Mat image = cv::imread(given[number]);  // turned as its EXIF data say; blue first
        if (image.empty()) {
            std::cerr << given[number] << ": cannot be read\n";
            return 1;
        }
        Levels rgb(image.total() * 3);
        for (size_t i = 0; i < rgb.size(); i++) rgb[i] = image.data[i / 3 * 3 + 2 - i % 3];
        Levels x = square(rgb, image.rows, image.cols, size);
        request.set_tensor("x", ov::Tensor(ov::element::f32, {1, size_t(size), size_t(size), 3}, x.data()));
        request.infer();
        const float* shares = request.get_tensor("y_pred").data<float>();
        const float* best = std::max_element(shares, shares + classes.size());
        std::cout << classes[best - shares] << "\t" << *best << "\t" << given[number] << "\n";
    }
}
