// From pixels to an answer, with the published model.onnx: the same as `graft.model.classifier` gives.

const RUNTIME = "./onnxruntime-web/";

/** Load the model. Throws an `Error` with the reason. */
export async function openClassifier() {
  const facts = await (await get("page.json")).json();
  const [runtime, program, model, reference] = await Promise.all([
    import(RUNTIME + "ort.wasm.bundle.min.mjs"), bytes(RUNTIME + "ort-wasm-simd-threaded.wasm"), bytes("model.onnx"),
    facts.reference && bytes("unknown.f32"),
  ]);
  await requirePublished(model, facts.sha256);
  runtime.env.wasm.numThreads = 1;        // more need headers that a plain web server does not send
  runtime.env.wasm.wasmBinary = program;
  const session = await runtime.InferenceSession.create(model, {executionProviders: ["wasm"]});
  return new Classifier(facts, runtime, session, facts.reference && new Reference(facts.reference, reference));
}

class Classifier {
  constructor(facts, runtime, session, reference) {
    Object.assign(this, {facts, runtime, session, reference});
  }

  /** The answer for one image: a row like those of `graft predict --json`. Pixels as of `readPixels`. */
  async classify(pixels) {
    const {class_names, image_size, temperature, unknown_threshold, unsure_up_to} = this.facts;
    const images = new this.runtime.Tensor("uint8", pixels, [1, ...image_size, 3]);
    const {logits, features} = await this.session.run({images});
    const shares = softmax([...logits.data].map((each) => each / temperature));
    const ranked = class_names.map((name, at) => [name, shares[at]]).sort((one, other) => other[1] - one[1]);
    const score = this.reference ? this.reference.score(features.data) : 0;
    return {
      label: ranked[0][0], probability: ranked[0][1], probabilities: ranked, unknown_score: score,
      is_unknown: unknown_threshold !== null && score > unknown_threshold,
      is_unsure: unsure_up_to !== null && ranked[0][1] <= unsure_up_to,
    };
  }
}

/** The distribution of the training images' features: see `graft/model/unknown.py`. */
class Reference {
  constructor({classes, units, directions}, buffer) {
    let at = 0;
    const take = (count) => new Float32Array(buffer, 4 * at, (at += count, count));
    this.directions = {units, count: directions};
    const means = take(classes * units);
    this.axes = take(units * directions);
    this.variances = take(directions);
    [this.rest, this.usual] = take(2);
    this.means = Array.from({length: classes}, (_, label) => {
      const mean = means.subarray(label * units, (label + 1) * units);
      return {mean, along: this.project(mean), square: dot(mean, mean)};
    });
  }

  /** The squared distance to the nearest class mean, divided by the usual one. */
  score(features) {
    const length = Math.max(Math.sqrt(dot(features, features)), 1e-12);
    const scaled = Float64Array.from(features, (each) => each / length);
    const along = this.project(scaled), square = dot(scaled, scaled);
    return Math.min(...this.means.map((each) => this.distance(scaled, along, square, each))) / this.usual;
  }

  distance(features, along, square, other) {
    const squares = along.map((each, at) => (each - other.along[at]) ** 2);
    const within = squares.reduce((sum, each) => sum + each, 0);
    const rest = Math.max(square + other.square - 2 * dot(features, other.mean) - within, 0);
    return squares.reduce((sum, each, at) => sum + each / this.variances[at], 0) + rest / this.rest;
  }

  project(vector) {
    const {units, count} = this.directions, sums = new Float64Array(count);
    for (let unit = 0; unit < units; unit++) {
      for (let axis = 0; axis < count; axis++) sums[axis] += vector[unit] * this.axes[unit * count + axis];
    }
    return sums;
  }
}

function dot(one, other) {
  let sum = 0;
  for (let at = 0; at < one.length; at++) sum += one[at] * other[at];
  return sum;
}

function softmax(logits) {
  const highest = Math.max(...logits), exponentials = logits.map((each) => Math.exp(each - highest));
  const sum = exponentials.reduce((one, other) => one + other, 0);
  return exponentials.map((each) => each / sum);
}

async function get(name) {
  const answer = await fetch(name, {cache: "no-cache"})     // ask whether it has changed: the files belong together
    .catch(() => { throw new Error(`${name} cannot be fetched: reload the page`); });
  if (!answer.ok) throw new Error(`${name} is missing where this page is hosted (HTTP ${answer.status})`);
  return answer;
}

async function bytes(name) {
  return (await get(name)).arrayBuffer();
}

/** Browsers compute digests only on https and on localhost. */
async function requirePublished(model, sha256) {
  if (!globalThis.crypto?.subtle) return;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", model));
  const found = [...digest].map((each) => each.toString(16).padStart(2, "0")).join("");
  if (found !== sha256) throw new Error("model.onnx is not the file that was published: reload the page");
}
