"""A saved model as OpenVINO's files, which Intel's processors, graphics and accelerators compute."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from pigeonhole.model.export import onnx_file, quantizing
from pigeonhole.model.export.exporter import Answer, Source
from pigeonhole.model.export.graphs import INPUT

TITLE = "OpenVINO"
PLACE = "openvino"
NEEDS = ("openvino", "onnx", "tf2onnx")
HAS_INT8 = True
MODEL = "model.xml"


def write(source: Source, place: Path) -> None:
    """Write a folder with `model.xml`, `model.bin`, the class names, a line each, and the contract.

    Input and outputs are those of the ONNX file, from which they are made; its quantize and dequantize nodes
    are OpenVINO's own form of int8.
    """
    import openvino

    model = onnx_file.convert(source.session)
    if source.calibration is not None:
        model = quantizing.quantized(model, source.calibration)
    place.mkdir()
    read = openvino.Core().read_model(model.SerializeToString(), b"")
    openvino.save_model(read, os.fspath(place / MODEL), compress_to_fp16=False)
    source.describe_in(place)


def load(place: Path) -> Answer:
    """The folder's probabilities on the processor, in float32 where it would take bfloat16."""
    import openvino

    # In a thread that ends. The compiler changes the stack on which its thread handles signals; a model that
    # is freed puts back the one that it found, which may have been another model's and be gone: Ctrl-C in the
    # main thread would then end the process with a segmentation fault.
    with ThreadPoolExecutor(1) as pool:
        hint = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = pool.submit(openvino.Core().compile_model, os.fspath(place / MODEL), "CPU", hint).result()
    request = compiled.create_infer_request()

    def answer(pixels: np.ndarray) -> np.ndarray:
        return request.infer({INPUT: pixels.astype(np.float32)})["y_pred"].copy()

    return answer
