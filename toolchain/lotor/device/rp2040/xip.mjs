// What lies between an RP2040's bus and its flash (RP2040 datasheet, whose section numbers these are):
// the SSI, the pin that selects the flash, the cache. `closed` says that memory reads would fail.

const [TX_AND_RX, READ_AFTER_COMMAND] = [0, 3]; // 4.10.13: TMOD
const SPI_CTRLR0_03H = (0x03 << 24) | (2 << 8) | (6 << 2); // XIP_CMD; 8 bits of it, 24 of address
const SPI_CTRLR0_USED = (0xff << 24) | (3 << 8) | (0xf << 2);
const FIFO = 16;
// Of the SSI those that take no write while it is enabled.
const SETTINGS = new Set([0x00, 0x04, 0x14, 0xf4]);

export class Xip {
  // `view` is what the bus reads: bytes of flash as the cache may still have them.
  constructor(nor, view) {
    this.nor = nor;
    this.view = view;
    this.stale = [];
    this.settings = { 0x00: 0, 0x04: 0, 0x10: 1, 0x14: 0, 0xf4: 0 };
    this.enabled = false;
    this.received = [];
    this.override = 0;
    this.closed = true;
    nor.changed = (start, end) => this.stale.push([start, end]);
    view.set(nor.content);
    this.peripherals = {
      0x14000: peripheral((at) => this.cacheRead(at), (at, value) => this.cacheWrite(at, value)),
      0x18000: peripheral((at) => this.ssiRead(at), (at, value) => this.ssiWrite(at, value)),
      0x40018: peripheral(
        (at) => (at === 0x0c ? this.override << 8 : 0), // 2.19.6.2: GPIO_QSPI_SS_CTRL, OUTOVER
        (at, value) => { if (at === 0x0c) this.select((value >> 8) & 3); },
      ),
    };
  }

  // Whether memory reads fail: in any mode but the boot stage's, or while the flash is busy.
  refuses() {
    const mode = this.settings[0x00];
    this.closed = !(
      this.enabled && this.override === 0 && !this.nor.busy &&
      ((mode >> 8) & 3) === READ_AFTER_COMMAND && ((mode >> 16) & 31) === 31 && // DFS_32
      ((mode >> 21) & 3) === 0 && // SPI_FRF
      (this.settings[0xf4] & SPI_CTRLR0_USED) === SPI_CTRLR0_03H
    );
    return this.closed;
  }

  select(override) {
    this.override = override;
    this.closed = true;
    this.nor.chosen = override === 2; // low
    this.refuses();
  }

  ssiRead(at) {
    if (at === 0x08) return Number(this.enabled);
    if (at === 0x20) return 0; // TXFLR: bytes leave at once
    if (at === 0x24) return this.received.length;
    if (at === 0x28) return (1 << 1) | (1 << 2) | (this.received.length ? 1 << 3 : 0); // TFNF TFE RFNE
    if (at === 0x60) return this.received.shift() ?? 0;
    return this.settings[at] ?? 0;
  }

  ssiWrite(at, value) {
    if (at === 0x08) {
      this.enabled = Boolean(value & 1);
      this.received = [];
    } else if (at === 0x60) {
      this.send(value & 0xff);
    } else if (!(this.enabled && SETTINGS.has(at))) {
      this.settings[at] = value;
    }
    this.refuses();
  }

  send(byte) {
    const mode = this.settings[0x00];
    const direct = ((mode >> 8) & 3) === TX_AND_RX && ((mode >> 16) & 31) === 7;
    if (!this.enabled || !direct || !(this.settings[0x10] & 1)) return; // SER
    // Left alone the SSI deselects whenever it has nothing to send: here after each byte.
    if (this.override === 0) this.nor.chosen = true;
    const answer = this.nor.transfer(byte);
    if (this.override === 0) this.nor.chosen = false;
    if (this.received.length < FIFO) this.received.push(answer);
  }

  cacheRead(at) {
    return at === 0x00 ? 3 : at === 0x08 ? 3 : 0; // 2.6.3.6: CTRL: ERR_BADWRITE, EN; STAT: ready, empty
  }

  // The worst of caches: it holds all that flash was until it is flushed.
  cacheWrite(at, value) {
    if (at !== 0x04 || !(value & 1)) return;
    for (const [start, end] of this.stale) this.view.set(this.nor.content.subarray(start, end), start);
    this.stale = [];
  }
}

function peripheral(read, write) {
  return {
    readUint32: read,
    writeUint32: write,
    writeUint32Atomic(at, value, kind) { // 2.1.2: as it is, or XOR, set, clear
      const old = kind ? read(at) : 0;
      write(at, [value, old ^ value, old | value, old & ~value][kind] >>> 0);
    },
  };
}
