// A codebook filter in plain JavaScript: which codes a sound has, and the codewords that leave for them. It follows
// runtime/codebook.py, runtime/segments.py and audio/griffin_lim.py step by step, so that the samples are the same.

const SMALLEST = 1e-30;

export class Codebook {
  // `facts` is filter.json; `sounds` [P, K_1 + 1, ..., K_T + 1, 20640] are the codewords in 8 bits.
  constructor(facts, sounds) {
    Object.assign(this, { facts, sounds, memory: facts.memory, positions: facts.positions });
    this.segment = facts.segment_samples;
    this.length = facts.segment_samples + 2 * facts.margin_samples; // of a codeword
    this.margin = facts.margin_samples;
    this.blockSamples = facts.block_segments * this.segment;
    this.steps = Float32Array.from(facts.samples, (step) => step / 32768);
    this.classes = 0;
    this.tasks = facts.tasks.map((task) => {
      const first = this.classes;
      const none = first + task.centres[0].length;
      this.classes = none + 1;
      return { ...task, first, none };
    });
    this.count = this.tasks.reduce((count, task) => count * (task.codes.length + 1), this.positions);
    if (sounds.length !== this.count * this.length) throw new Error("the codewords are incomplete");
  }

  // The most bits that leave with one block while the tasks of the set `permit` are permitted.
  bits(permit) {
    const sizes = this.tasks.filter((task) => permit.has(task.name)).map((task) => task.codes.length);
    return sizes.reduce((sum, size) => sum + Math.log2(size + 1), 0);
  }

  // The codes of a block of `count` segments; `state` is changed. What it holds of a revoked task is forgotten.
  codes(logPosteriors, count, permit, state) {
    const posteriors = Float64Array.from(logPosteriors, (value) => Math.exp(value));
    posteriors.forEach((value, at) => Number.isFinite(value) || (posteriors[at] = 0));
    const column = (segment, index) => posteriors[segment * this.classes + index];
    const codes = this.tasks.map((task) => {
      const total = state.total.subarray(task.first, task.none);
      if (!permit.has(task.name)) return total.fill(0), 0;
      let none = 0;
      for (let segment = 0; segment < count; segment++) none += column(segment, task.none);
      total.forEach((value, index) => (total[index] = value * this.memory ** count));
      if (none / count > task.none_above) return 0;
      total.forEach((value, index) => {
        let sum = 0;
        for (let segment = 0; segment < count; segment++)
          sum += this.memory ** (count - 1 - segment) * column(segment, task.first + index);
        total[index] = value + sum;
      });
      return nearest(task.centres, total);
    });
    const position = Math.min(state.blocks, this.positions - 1);
    state.blocks = Math.min(state.blocks + 1, this.positions - 1);
    return { codes, position };
  }

  // The sound of a codeword with its margins, [20640].
  sound(position, codes) {
    const index = codes.reduce((at, code, task) => at * (this.tasks[task].codes.length + 1) + code, position);
    const steps = this.sounds.subarray(index * this.length, (index + 1) * this.length);
    return Float32Array.from(steps, (step) => this.steps[step]);
  }

  // What the codes of all tasks mean, in words.
  say(codes) {
    const said = this.tasks.flatMap((task, at) => (codes[at] ? [task.codes[codes[at] - 1]] : []));
    return said.map(inWords).join(", ") || "nothing";
  }
}

export function inWords(name) {
  return name.replaceAll("_", " ");
}

function nearest(centres, total) {
  const known = total.reduce((sum, value) => sum + value, 0);
  if (known <= 0) return 0;
  const distances = centres.map((centre) =>
    centre.reduce((sum, value, index) => sum + (value - total[index] / known) ** 2, 0),
  );
  return 1 + distances.indexOf(Math.min(...distances));
}

// One sound on its way: `take` cuts it into blocks, each with the consent that holds for it, `draw` gives what leaves.
export class Stream {
  // `infer(segments, count)` gives the log posteriors [count * classes] of segments [count * 20480].
  constructor(book, infer, permit) {
    Object.assign(this, { book, infer, permit, next: permit, taken: 0, filled: 0 });
    this.block = new Float32Array(book.blockSamples);
    this.last = new Float32Array(0);
    this.lastPermit = permit;
    this.state = { total: new Float64Array(book.classes), blocks: 0 }; // sums of posteriors, and blocks drawn
    this.drawn = 0; // where what was drawn last ends, among the samples of all that leaves
    this.end = null; // the margin of the codeword before, which fades into the next
  }

  // Revocation holds for the block that is being filled, consent from the next whole block on.
  permitting(permit) {
    this.next = permit;
    this.permit = this.filled ? new Set([...this.permit].filter((task) => permit.has(task))) : permit;
  }

  // The blocks that are complete once `samples` have come.
  take(samples) {
    const ready = [];
    for (let at = 0; at < samples.length; ) {
      const part = samples.subarray(at, at + this.block.length - this.filled);
      for (const value of part) {
        const audible = Number.isFinite(value) && Math.abs(value) > SMALLEST;
        this.block[this.filled++] = audible ? value : 0;
      }
      at += part.length;
      this.taken += part.length;
      if (this.filled === this.block.length) ready.push(this.#finished());
    }
    return ready;
  }

  // The last block, which may be shorter.
  rest() {
    return this.filled ? [this.#finished()] : [];
  }

  #finished() {
    const { segment } = this.book;
    const own = this.block.slice(0, this.filled);
    const known = [...this.permit].every((task) => this.lastPermit.has(task));
    const before = own.length % segment && known ? this.last : new Float32Array(0);
    const both = new Float32Array(before.length + own.length);
    both.set(before);
    both.set(own, before.length);
    const segments = cut(both, segment).slice(Math.floor(before.length / segment));
    const joined = new Float32Array(segments.length * segment);
    segments.forEach((part, at) => joined.set(part, at * segment));
    const block = { segments: joined, count: segments.length, permit: this.permit, start: this.taken - own.length };
    this.last = own.slice(-segment);
    this.lastPermit = this.permit;
    this.permit = this.next;
    this.filled = 0;
    return block;
  }

  // What leaves for a block, in the order of the blocks. Where it begins in what leaves is `at`.
  async draw(block) {
    const scores = await this.infer(block.segments, block.count);
    const { codes, position } = this.book.codes(scores, block.count, block.permit, this.state);
    const word = this.book.sound(position, codes);
    const at = this.end ? block.start - this.book.margin : block.start;
    const pieces = Array.from({ length: block.count }, () => this.#joined(word));
    const samples = concatenated(pieces).map((value) => limited(value, this.book.facts.knee));
    this.drawn = at + samples.length;
    return { samples, codes, at };
  }

  // The end of the last codeword.
  flush() {
    const end = this.end ? this.end.slice(0, this.book.margin) : new Float32Array(0);
    this.end = null;
    return end.map((value) => limited(value, this.book.facts.knee));
  }

  #joined(word) {
    const both = 2 * this.book.margin;
    const start = this.end ? word.slice(0, both) : word.slice(this.book.margin, both);
    this.end?.forEach((value, at) => {
      const turn = (at + 0.5) * (Math.PI / 2 / both);
      const [out, into] = [Math.fround(Math.cos(turn)), Math.fround(Math.sin(turn))];
      start[at] = Math.fround(value * out) + Math.fround(word[at] * into);
    });
    this.end = word.slice(-both);
    return concatenated([start, word.subarray(both, word.length - both)]);
  }
}

// Segments side by side, the last one aligned to the end; what is shorter than one is filled up with its mean.
function cut(sound, segment) {
  if (sound.length < segment) {
    const mean = sound.reduce((sum, value) => sum + value, 0) / sound.length;
    const padded = new Float32Array(segment).fill(mean);
    padded.set(sound);
    return [padded];
  }
  const starts = Array.from({ length: Math.floor(sound.length / segment) }, (_, at) => at * segment);
  if (sound.length % segment) starts.push(sound.length - segment);
  return starts.map((start) => sound.slice(start, start + segment));
}

function limited(value, knee) {
  const over = Math.fround(Math.abs(value) - knee);
  if (!(over > 0)) return value;
  return Math.sign(value) * Math.fround(knee + Math.fround(knee * Math.fround(Math.tanh(over / knee))));
}

export function concatenated(pieces) {
  const whole = new Float32Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
