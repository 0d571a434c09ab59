// From a picture's file to the pixels that the model takes: the same as those of `graft.images.read_image`.

const FRACTION = 22;        // bits of a weight's fraction: Pillow's Resample.c computes in whole numbers, too
const BAND = 256;           // rows that are drawn at once, a multiple of 8: phones limit the area of a canvas
const START = 26;           // bytes of a file, up to a PNG's bit depth

/** The pixels of the whole picture at that size: RGB, 0 to 255, row by row. Throws an `Error` with the reason. */
export async function readPixels(file, height, width) {
  const isJpeg = await look(file), picture = await decode(file);
  try {
    const image = draw(picture, isJpeg ? blockOf(picture, 2 * Math.max(height, width)) : 1);
    return resize(image, height, width).rgb;
  } finally {
    picture.close();
  }
}

/** Whether it is a JPEG file. Of 16 bits, browsers show the upper 8, whatever range a file uses: that is refused. */
async function look(file) {
  const start = new Uint8Array(await file.slice(0, START).arrayBuffer());
  if (start[0] === 0x89 && start[1] === 0x50 && start[24] === 16) {
    throw new Error("a PNG of 16 bits per channel, of which this page reads 8 at most: save it with 8 bits");
  }
  return start[0] === 0xff && start[1] === 0xd8;
}

async function decode(file) {
  const asStored = {imageOrientation: "from-image", premultiplyAlpha: "none", colorSpaceConversion: "none"};
  try {
    return await createImageBitmap(file, asStored);
  } catch {
    throw new Error("this browser cannot decode it; convert it to JPEG or PNG");
  }
}

/** The side of the blocks whose means Graft takes for a large JPEG: it has them decoded at 1/2, 1/4 or 1/8. */
function blockOf(picture, least) {
  return [8, 4, 2].find((side) => Math.min(picture.width, picture.height) >= side * least) ?? 1;
}

/** The means of blocks of the picture's pixels, with transparency on white; blocks at the edges may be smaller. */
function draw(picture, side) {
  const canvas = document.createElement("canvas");
  canvas.width = picture.width;
  canvas.height = BAND;
  const drawing = canvas.getContext("2d", {willReadFrequently: true});
  drawing.fillStyle = "white";
  const width = Math.ceil(picture.width / side), height = Math.ceil(picture.height / side);
  const rgb = new Uint8ClampedArray(height * width * 3);
  for (let top = 0; top < picture.height; top += BAND) {
    drawing.fillRect(0, 0, picture.width, BAND);
    drawing.drawImage(picture, 0, -top);
    const band = drawing.getImageData(0, 0, picture.width, Math.min(BAND, picture.height - top));
    average(band, side, rgb.subarray(top / side * width * 3));
  }
  return {rgb, width, height};
}

function average({data, width, height}, side, made) {
  let to = 0;
  for (let top = 0; top < height; top += side) {
    for (let left = 0; left < width; left += side) {
      const right = Math.min(left + side, width), bottom = Math.min(top + side, height);
      let red = 0, green = 0, blue = 0;
      for (let row = top; row < bottom; row++) {
        for (let at = 4 * (row * width + left), end = at + 4 * (right - left); at < end; at += 4) {
          red += data[at];
          green += data[at + 1];
          blue += data[at + 2];
        }
      }
      const pixels = (right - left) * (bottom - top);
      made[to++] = red / pixels;
      made[to++] = green / pixels;
      made[to++] = blue / pixels;
    }
  }
}

/** In two passes, each rounded, so that their order counts: it is that of Pillow 13. */
function resize(image, height, width) {
  const isHigh = image.height > height && image.height - height > 2 * (image.width - width);
  return isHigh ? narrow(lower(image, height), width) : lower(narrow(image, width), height);
}

/** Resample every row. */
function narrow(image, width) {
  const rgb = new Uint8Array(image.height * width * 3), weights = weigh(image.width, width);
  let to = 0;
  for (let row = 0; row < image.height; row++) {
    for (const {first, values} of weights) {
      for (let channel = 0; channel < 3; channel++) {
        rgb[to++] = weighted(image.rgb, 3 * (row * image.width + first) + channel, 3, values);
      }
    }
  }
  return {rgb, width, height: image.height};
}

/** Resample every column. */
function lower(image, height) {
  const stride = 3 * image.width, rgb = new Uint8Array(height * stride);
  let to = 0;
  for (const {first, values} of weigh(image.height, height)) {
    for (let at = first * stride; at < (first + 1) * stride; at++) rgb[to++] = weighted(image.rgb, at, stride, values);
  }
  return {rgb, width: image.width, height};
}

/** The weighted mean of values that lie `step` apart. */
function weighted(bytes, at, step, weights) {
  let sum = 1 << FRACTION - 1;
  for (let each = 0; each < weights.length; each++, at += step) sum += weights[each] * bytes[at];
  return sum >> FRACTION;
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
