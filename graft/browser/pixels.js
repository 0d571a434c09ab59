// From a picture's file to the pixels that the model takes: the same as those of `graft.images.read_image`. Of a high
// picture Pillow resamples the columns first, so that some of its pixels differ by 1.

const FRACTION = 22;        // bits of a weight's fraction: Pillow's Resample.c computes in whole numbers, too
const BAND = 256;           // rows that are drawn at once: phones limit the area of a canvas
const START = 26;           // bytes of a file, up to a PNG's bit depth

/** The pixels of the whole picture at that size: RGB, 0 to 255, row by row. Throws an `Error` with the reason. */
export async function readPixels(file, height, width) {
  await refuseDeep(file);
  const picture = await decode(file);
  try {
    return lower(narrow(picture, width), width, picture.height, height);
  } finally {
    picture.close();
  }
}

/** Browsers show the upper 8 bits of 16, whatever range the file uses; Graft looks for the range. */
async function refuseDeep(file) {
  const start = new Uint8Array(await file.slice(0, START).arrayBuffer());
  if (start[0] === 0x89 && start[1] === 0x50 && start[24] === 16) {
    throw new Error("a PNG of 16 bits per channel: this page reads 8 bits. Save it with 8, or use `graft predict`");
  }
}

async function decode(file) {
  const asStored = {imageOrientation: "from-image", premultiplyAlpha: "none", colorSpaceConversion: "none"};
  try {
    return await createImageBitmap(file, asStored);
  } catch {
    throw new Error("this browser cannot decode it; convert it to JPEG or PNG");
  }
}

/** Resample every row to `width` pixels, with transparency on white. */
function narrow(picture, width) {
  const canvas = document.createElement("canvas"), weights = weigh(picture.width, width);
  canvas.width = picture.width;
  canvas.height = BAND;
  const drawing = canvas.getContext("2d", {willReadFrequently: true});
  drawing.fillStyle = "white";
  const made = new Uint8Array(picture.height * width * 3);
  for (let top = 0; top < picture.height; top += BAND) {
    const rows = Math.min(BAND, picture.height - top);
    drawing.fillRect(0, 0, picture.width, BAND);
    drawing.drawImage(picture, 0, -top);
    const {data} = drawing.getImageData(0, 0, picture.width, rows);
    narrowRows(data, picture.width, rows, weights, made.subarray(top * width * 3));
  }
  return made;
}

function narrowRows(rgba, from, rows, weights, made) {
  let to = 0;
  for (let row = 0; row < rows; row++) {
    for (const {first, values} of weights) {
      let red = 1 << FRACTION - 1, green = red, blue = red, at = 4 * (row * from + first);
      for (const weight of values) {
        red += weight * rgba[at];
        green += weight * rgba[at + 1];
        blue += weight * rgba[at + 2];
        at += 4;
      }
      made[to++] = red >> FRACTION;
      made[to++] = green >> FRACTION;
      made[to++] = blue >> FRACTION;
    }
  }
}

/** Resample every column of RGB pixels from one height to another. */
function lower(rgb, width, from, height) {
  const made = new Uint8Array(height * width * 3), stride = width * 3;
  let to = 0;
  for (const {first, values} of weigh(from, height)) {
    for (let column = 0; column < stride; column++) {
      let sum = 1 << FRACTION - 1, at = first * stride + column;
      for (const weight of values) {
        sum += weight * rgb[at];
        at += stride;
      }
      made[to++] = sum >> FRACTION;
    }
  }
  return made;
}

/** For each new pixel, the first old one that counts and the weights from there on: a triangle as wide as the scale. */
function weigh(from, to) {
  const scale = from / to, reach = Math.max(scale, 1), slope = 1 / reach;
  return Array.from({length: to}, (_, pixel) => {
    const centre = (pixel + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - reach + 0.5), 0), end = Math.min(Math.trunc(centre + reach + 0.5), from);
    const shares = Array.from({length: end - first}, (_, at) =>
      Math.max(1 - Math.abs((at + first - centre + 0.5) * slope), 0));
    const sum = shares.reduce((one, other) => one + other, 0);
    return {first, values: Int32Array.from(shares, (share) => Math.trunc(0.5 + share / sum * (1 << FRACTION)))};
  });
}
