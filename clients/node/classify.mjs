// Answers for pictures by an exported model: node classify.mjs model.onnx labels.txt PICTURE...
import fs from "node:fs";
import ort from "onnxruntime-node";
import sharp from "sharp";

const [model, labels, ...pictures] = process.argv.slice(2);
const classes = fs.readFileSync(labels, "utf8").trimEnd().split("\n");
const session = await ort.InferenceSession.create(model);
for (const picture of pictures) {
  // Turned as the EXIF data say, on white, three channels; colour profiles are not applied.
  const image = sharp(picture, { ignoreIcc: true }).autoOrient().flatten({ background: "white" });
  const { data, info } = await image.toColourspace("srgb").raw().toBuffer({ resolveWithObject: true });
  const x = new ort.Tensor("float32", Float32Array.from(data), [1, info.height, info.width, 3]);
  const { y_pred } = await session.run({ x }, ["y_pred"]);
  const best = y_pred.data.indexOf(Math.max(...y_pred.data));
  console.log(`${classes[best]}\t${y_pred.data[best].toFixed(6)}\t${picture}`);
}
