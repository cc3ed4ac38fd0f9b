// The audio thread. This gate is between a sound and the loudspeaker: what comes in, from a microphone or a file, goes to
// the filter's thread, and what goes out is only what that thread sent, at its time. What is late is not played.

const PIECE = 1024; // samples that are sent at once

registerProcessor(
  "gate",
  class extends AudioWorkletProcessor {
    constructor({ processorOptions }) {
      super();
      this.delay = processorOptions.delay; // samples from what comes in to what leaves for it
      this.file = processorOptions.isFile ? [] : null; // samples of a file that are still to come in
      this.parts = []; // of what leaves: samples, and where they begin
      this.piece = new Float32Array(PIECE);
      this.filled = this.passed = 0;
      this.port.onmessage = ({ data }) => this.told(data);
    }

    told({ filter, more, permit, stop }) {
      if (filter) {
        this.filter = filter;
        this.filter.onmessage = ({ data }) => this.receive(data);
      }
      if (more) {
        this.asked = false;
        if (more.length) this.file.push(more);
        this.over = !more.length;
      }
      if (permit) {
        this.send(); // what came before it belongs before it
        this.filter.postMessage({ permit });
      }
      if (stop) this.stopped = true;
    }

    receive(part) {
      const late = this.passed - this.delay - part.at;
      if (late > 0 && part.samples) this.port.postMessage({ late });
      this.parts.push(part);
    }

    process([input], [output, monitor]) {
      if (this.stopped) return false;
      if (!this.filter) return true;
      const samples = this.file ? this.next(output[0].length) : input[0];
      if (samples && !this.ended) this.hear(samples);
      if (this.file && samples) monitor[0].set(samples); // so that the page can draw it
      if (this.over && !this.ended && !this.file.length) this.end();
      if (samples || this.ended) this.play(output[0]);
      return true;
    }

    // The next samples of the file, whose pieces end with a whole `count` but for the last; null: not there yet.
    next(count) {
      const [part] = this.file;
      if (this.file.length < 2 && !this.asked && !this.over) {
        this.asked = true;
        this.port.postMessage({ more: true });
      }
      if (part?.length > count) this.file[0] = part.subarray(count);
      else this.file.shift();
      return part?.subarray(0, count);
    }

    hear(samples) {
      for (const value of samples) {
        this.piece[this.filled++] = value;
        if (this.filled === PIECE) this.send();
      }
    }

    send() {
      const samples = this.piece.slice(0, this.filled);
      this.filter.postMessage({ samples }, [samples.buffer]);
      this.filled = 0;
    }

    end() {
      this.ended = true;
      this.send();
      this.filter.postMessage({ ended: true });
    }

    play(output) {
      const first = this.passed - this.delay;
      const last = first + output.length;
      this.passed += output.length;
      while (this.parts.length && this.parts[0].at + (this.parts[0].samples?.length ?? 0) <= first) {
        if (!this.parts.shift().samples) this.port.postMessage({ over: true });
      }
      for (const { samples, at } of this.parts) {
        if (at >= last || !samples) break;
        const from = Math.max(first, at);
        output.set(samples.subarray(from - at, Math.min(last, at + samples.length) - at), from - first);
      }
    }
  },
);
