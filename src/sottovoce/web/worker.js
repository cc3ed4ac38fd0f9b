// The filter's own thread: loads and checks a filter, and turns blocks of sound into what leaves. It sends samples to
// the audio thread and facts to the page; a sound that was filtered is forgotten.

import * as ort from "./onnxruntime-web/ort.wasm.bundle.min.js";
import { Codebook, Stream, concatenated } from "./filter.js";

const PARTS = ["filter.onnx", "codewords.u8", "golden.i16", "example.i16"];
const MOST_WAITING = 2; // blocks: what comes while these are worked on is dropped, never queued

let book, infer, stream;
let audio = null; // the port to the audio thread
let waiting = 0;
let queue = Promise.resolve();

async function content(url, sha256) {
  const response = await fetch(url).catch(() => null);
  if (!response?.ok) throw new Error(`${url} cannot be had from this server; export the page again.`);
  let bytes = await response.arrayBuffer();
  const [first, second] = new Uint8Array(bytes.slice(0, 2)); // some servers unpack it already
  if (first === 0x1f && second === 0x8b) bytes = await unpacked(bytes).catch(() => null);
  if (!bytes || (sha256 && (await digest(bytes)) !== sha256))
    throw new Error(`${url} is damaged or was altered; export the page again.`);
  return bytes;
}

const unpacked = (bytes) =>
  new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();

async function digest(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function load(folder) {
  const begun = performance.now();
  const facts = await new Response(await content(`${folder}/filter.json`)).json().catch(() => null);
  if (facts?.schema !== 1) throw new Error(`${folder}/filter.json is damaged, or for another version of this page; export it again.`);
  const part = (name) => content(`${folder}/${name}.gz`, facts.files[name]);
  if (!ort.env.wasm.wasmBinary) {
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = await content("onnxruntime-web/ort-wasm-simd-threaded.wasm.gz");
  }
  const [graph, sounds, golden, example] = await Promise.all(PARTS.map(part));
  const session = await ort.InferenceSession.create(new Uint8Array(graph), { executionProviders: ["wasm"] });
  book = new Codebook(facts, new Uint8Array(sounds));
  infer = async (segments, count) => {
    const results = await session.run({ sound: new ort.Tensor("float32", segments, [count, book.segment]) });
    return results.log_posteriors.data;
  };
  await check(samples(golden));
  postMessage({ ready: { facts, sounds: book.sounds, example: samples(example), ms: performance.now() - begun } });
}

const samples = (bytes) => Float32Array.from(new Int16Array(bytes), (value) => value / 32768);

// The golden vectors: what leaves for a known sound has to be what left where the filter was exported.
async function check(golden) {
  const { codes, sha256 } = book.facts.golden;
  const trial = new Stream(book, infer, new Set(book.tasks.map((task) => task.name)));
  const drawn = [];
  for (const block of [...trial.take(golden), ...trial.rest()]) drawn.push(await trial.draw(block));
  const left = concatenated([...drawn.map((each) => each.samples), trial.flush()]);
  const same = JSON.stringify(drawn.map((each) => each.codes)) === JSON.stringify(codes);
  if (!same || (await digest(left)) !== sha256)
    throw new Error("This browser does not compute what the filter computes elsewhere, so the filter was not started.");
}

// A block of a sound that is played: it leaves in time or not at all.
function pass(block) {
  const own = stream;
  const isLate = waiting >= MOST_WAITING;
  waiting++;
  const after = isLate ? () => interrupt(own, block) : () => draw(own, block);
  queue = queue.then(() => own === stream && after()).catch(fail);
  queue = queue.finally(() => waiting--);
}

async function draw(own, block) {
  const begun = performance.now();
  const { samples, codes, at } = await own.draw(block);
  if (own !== stream) return null;
  const ms = performance.now() - begun;
  postMessage({ block: { codes, ms, at: block.start, bits: book.bits(block.permit), permit: [...block.permit] } });
  audio?.postMessage({ samples, at }, [samples.buffer]);
  return samples;
}

function interrupt(own, block) {
  postMessage({ dropped: block.start });
  audio.postMessage({ at: own.drawn, samples: own.flush() });
}

function listen({ data }) {
  if (data.samples) stream?.take(data.samples).forEach(pass);
  if (data.permit) consent(data.permit);
  if (!data.ended) return;
  const own = stream;
  own?.rest().forEach(pass);
  queue = queue.then(() => {
    if (own !== stream || !own) return;
    audio.postMessage({ at: own.drawn, samples: own.flush() });
    audio.postMessage({ at: own.drawn + book.margin }); // nothing comes after this
  });
}

// A sound that is not played: as fast as this thread can, each piece when the page asks for it; null is its end.
async function piece(samples) {
  const own = stream;
  const left = [];
  for (const block of samples ? own.take(samples) : own.rest()) left.push(await draw(own, block));
  if (!samples) left.push(own.flush());
  const joined = concatenated(left);
  postMessage({ left: joined }, [joined.buffer]);
}

function fail(error) {
  stream = null; // nothing leaves from now on
  postMessage({ error: error instanceof Error ? error.message : String(error) });
}

function consent(tasks) {
  if (!stream) return;
  stream.permitting(new Set(tasks));
  postMessage({ consent: { permit: tasks, at: stream.taken } });
}

const verbs = {
  load,
  begin({ port, permit }) {
    stream = new Stream(book, infer, new Set(permit));
    audio = port;
    if (audio) audio.onmessage = listen;
  },
  stop: () => (stream = audio = null),
  permit: consent,
  piece,
};

onmessage = async ({ data }) => {
  try {
    for (const [verb, value] of Object.entries(data)) await verbs[verb](value);
  } catch (error) {
    fail(error);
  }
};
