// A serial NOR flash as a W25Q16JV (its data sheet has the section numbers), seen from its bus, and
// power that fails while it writes.

const PAGE = 256;
const SECTOR = 4096;
// Nanoseconds: a hundredth of 9.6's typical 0.4 ms and 45 ms.
const TIMES = { program: 4e3, erase: 450e3 };
const [READ, STATUS, ENABLE, DISABLE, PROGRAM, ERASE] = [0x03, 0x05, 0x06, 0x04, 0x02, 0x20];

// Thrown out of the operation that the cut concerns: the chip behind this flash has no power, either.
export class PowerCut extends Error {}

// Marsaglia's xorshift32 (2003): the same cut tears the same bits in every run.
export function noise(seed) {
  let x = seed | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

// What a program or an erasure leaves that was cut: bytes at its end untouched, bits of any byte not
// yet written, or an erasure that has done all but a few bits. `goal` is what it would have made.
function torn(old, goal, number) {
  const next = noise(number * 0x9e3779b1);
  const [texture, done] = [number % 3, next() % goal.length];
  return goal.map((byte, i) => {
    if (texture === 0) return i < done ? byte : old[i];
    const late = texture === 1 ? next() & 0xff : next() % 64 ? 0 : 1 << (next() & 7);
    return (byte & ~late) | (old[i] & late);
  });
}

export class Nor {
  // `now` tells nanoseconds. A cache and a file hear what was written: `changed`, `kept` (start, end).
  constructor(bytes, now) {
    this.content = new Uint8Array(bytes).fill(0xff);
    this.now = now;
    this.changed = this.kept = () => {};
    this.forget();
    this.powerUp();
  }

  // Count operations from here on, and cut none of them.
  forget() {
    this.operations = []; // [kind, address, bytes] of each
    this.cut = null; // { at: number of the operation, from 1, how: 'before', 'during' or 'after' }
  }

  powerUp() {
    this.selected = false;
    this.enabled = false;
    this.ready = 0; // when the last operation is done
  }

  get busy() {
    return this.now() < this.ready;
  }

  set chosen(selected) {
    if (selected && !this.selected) this.sent = [];
    if (!selected && this.selected) this.execute();
    this.selected = selected;
  }

  // One byte each way.
  transfer(byte) {
    if (!this.selected) return 0xff;
    const at = this.sent.push(byte) - 1;
    if (this.sent[0] === STATUS && at) return (this.busy ? 1 : 0) | (this.enabled ? 2 : 0); // 7.1
    if (this.sent[0] === READ && at > 3 && !this.busy)
      return this.content[(this.address + at - 4) % this.content.length];
    return 0xff;
  }

  get address() {
    const [, high, middle, low] = this.sent;
    return ((high << 16) | (middle << 8) | low) % this.content.length;
  }

  // Deselected: 8.2.1, 8.2.13, 8.2.15. While it is busy it takes nothing but the status command.
  execute() {
    const { sent } = this;
    if (this.busy) return;
    if (sent[0] === ENABLE && sent.length === 1) this.enabled = true;
    if (sent[0] === DISABLE && sent.length === 1) this.enabled = false;
    if (!this.enabled) return;
    if (sent[0] === ERASE && sent.length === 4) {
      const start = this.address - (this.address % SECTOR);
      this.operate('erase', start, SECTOR, new Uint8Array(SECTOR).fill(0xff));
    }
    if (sent[0] === PROGRAM && sent.length > 4) {
      const start = this.address - (this.address % PAGE);
      const goal = this.content.slice(start, start + PAGE);
      const page = new Uint8Array(PAGE).fill(0xff);
      sent.slice(4).forEach((byte, i) => { page[(this.address + i) % PAGE] = byte; }); // wraps
      page.forEach((byte, i) => { goal[i] &= byte; });
      this.operate('program', start, Math.min(sent.length - 4, PAGE), goal);
    }
  }

  operate(kind, start, bytes, goal) {
    const number = this.operations.push([kind, this.address, bytes]);
    const how = this.cut?.at === number ? this.cut.how : null;
    if (how === 'before') throw new PowerCut();
    const old = this.content.slice(start, start + goal.length);
    this.content.set(how === 'during' ? torn(old, goal, number) : goal, start);
    this.changed(start, start + goal.length);
    this.kept(start, start + goal.length);
    if (how) throw new PowerCut();
    this.enabled = false;
    this.ready = this.now() + TIMES[kind];
  }
}
