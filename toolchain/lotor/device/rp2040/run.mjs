// node run.mjs FIRMWARE.uf2 FD [--flash FILE] [--control SOCKET]: an RP2040 that runs a UF2 file, its
// UART0 on the listening socket FD. FILE keeps what flash holds, and is read instead of the UF2 file
// where it exists; SOCKET is made, see control.mjs.
//
// rp2040js has no boot ROM, so that the boot stage in flash is entered as the ROM does. What a chip
// faults on, rp2040js reports to its logger; here that becomes a hard fault.
import fs from 'node:fs';
import net from 'node:net';
import { parseArgs } from 'node:util';
import { RP2040 } from 'rp2040js';
import { serve } from './control.mjs';
import { Nor, PowerCut, noise } from './nor.mjs';
import { Xip } from './xip.mjs';

const FLASH = 0x10000000;
const FLASH_BYTES = 2 << 20; // a Pico's
const FAMILY = 0xe48bff56;
const STACK = 0x20041f00; // where the boot ROM's stack ends, under its copy of the boot stage
const RAM = 0x20000000;
const HARD_FAULT = 3;
const SLICE = 50_000; // instructions between two looks at the socket
const TO_ITSELF = 0xe7fe; // the instruction `b .`

class Fault extends Error {}
class Reset extends Error {}

// Armv6-M takes no unaligned access; of those here rp2040js says nothing, nor of flash that is closed.
// It lets stores reach flash: datasheet 2.6.3.6 (ERR_BADWRITE) says what becomes of them.
class Chip extends RP2040 {
  readUint8(address) {
    if (address >>> 26 === FLASH >>> 26) this.see(address);
    return super.readUint8(address);
  }
  readUint16(address) {
    if (address & 1) complain('RP2040', `unaligned read at ${address.toString(16)}`);
    if (address >>> 26 === FLASH >>> 26) this.see(address);
    return super.readUint16(address);
  }
  readUint32(address) {
    if (address >>> 26 === FLASH >>> 26) this.see(address);
    return super.readUint32(address);
  }
  see(address) {
    if (this.xip.closed && this.xip.refuses())
      complain('RP2040', `flash is no memory now, read at ${address.toString(16)}`);
  }
  writeUint16(address, value) {
    if (address & 1) complain('RP2040', `unaligned write at ${address.toString(16)}`);
    super.writeUint16(address, value);
  }
  writeUint32(address, value) {
    if (address & 3) complain('RP2040', `unaligned write at ${address.toString(16)}`);
    if (address >>> 26 !== FLASH >>> 26) super.writeUint32(address, value);
    else if (address >>> 24 !== FLASH >>> 24)
      complain('RP2040', `write to flash at ${address.toString(16)}`);
  }
}

// What flash holds after a UF2 file, or by a file of all its bytes.
function load(path) {
  const file = fs.readFileSync(path);
  if (file.length === FLASH_BYTES && file.readUInt32LE(0) !== 0x0a324655) return file;
  const flash = new Uint8Array(FLASH_BYTES).fill(0xff);
  if (!file.length || file.length % 512) throw new Error(`${path} is no UF2 file`);
  for (let at = 0; at < file.length; at += 512) {
    const word = (offset) => file.readUInt32LE(at + offset);
    const good = word(0) === 0x0a324655 && word(4) === 0x9e5d5157 && word(508) === 0x0ab16f30;
    const [address, size] = [word(12) - FLASH, word(16)];
    if (!good || word(28) !== FAMILY || size > 476 || address < 0 || address + size > flash.length)
      throw new Error(`${path}: block ${at / 512} is damaged, or for another chip`);
    flash.set(file.subarray(at + 32, at + 32 + size), address);
  }
  return flash;
}

// Registers that rp2040js lacks.
const chipReset = { // datasheet 2.12.8: HAD_POR, also after a reset by the watchdog
  readUint32: (offset) => (offset === 8 ? 1 << 8 : 0),
  writeUint32Atomic() {},
};

let chip, clock, faulting;
const nor = new Nor(FLASH_BYTES, () => clock.nanos);
const board = { nor, cuts: 0, powerCycle, load: reload, word: (address) => chip.readUint32(address) };

// A chip that starts: after power-up, or after its watchdog reset all but RAM and flash.
function start(before) {
  chip = new Chip();
  clock = chip.clock;
  faulting = false;
  next = 0;
  nor.powerUp(); // what it was at is done before the boot ROM gives up
  chip.xip = new Xip(nor, chip.flash);
  const watchdog = chip.peripherals[0x40058];
  if (before) {
    chip.sram.set(before.sram);
    const old = before.peripherals[0x40058];
    watchdog.reason = old.reason;
    watchdog.scratchData.set(old.scratchData);
  } else {
    const random = noise(board.cuts + 1); // whatever a RAM wakes up with
    new Uint32Array(chip.sram.buffer).forEach((_, i, words) => { words[i] = random(); });
  }
  watchdog.onWatchdogTrigger = () => { throw new Reset(); };
  Object.assign(chip.peripherals, chip.xip.peripherals);
  chip.peripherals[0x40064] = chipReset;
  chip.onBreak = () => { throw new Fault('undefined instruction'); };
  chip.logger = { debug() {}, info() {}, warn: complain, error: complain };
  chip.uart[0].onByte = (byte) => sent.push(byte);
  boot();
}

// Datasheet 2.8.1.3: what a boot ROM does with the first 256 bytes of flash.
function boot() {
  const stage = nor.content.subarray(0, 256);
  let crc = 0xffffffff; // most significant bit first
  for (const byte of stage.subarray(0, 252)) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc < 0 ? 0x04c11db7 : 0);
  }
  const good = crc >>> 0 === new DataView(nor.content.buffer).getUint32(252, true);
  chip.sram.set(stage, STACK - RAM);
  chip.core.SP = STACK;
  chip.core.LR = 0;
  chip.core.PC = STACK;
  if (good) return;
  console.error('flash holds no boot stage with a right CRC-32: it would wait for a UF2 file');
  stop();
}

// It executes nothing more.
function stop() {
  chip.core.waiting = true;
  chip.core.enabledInterrupts = 0;
}

function powerCycle() {
  received.length = 0;
  at = 0;
  start(null);
  wake();
}

function reload(path) {
  nor.content.set(load(path));
  nor.kept(0, FLASH_BYTES);
  nor.forget();
  board.cuts = 0;
  powerCycle();
}

// Of peripherals rp2040js reports only that they lack a register.
function complain(component, message) {
  if (component === 'RP2040' || component === 'CortexM0Core') {
    if (!faulting) throw new Fault(message);
  }
}

// Armv6-M has one exception for all faults. As on other cores, what cannot be stacked is lost.
function hardFault(pc, message) {
  const { core } = chip;
  core.PC = pc;
  if (core.IPSR === HARD_FAULT || core.IPSR === 2) {
    console.error(`locked up at ${pc.toString(16)}: ${message}`);
    stop();
    return;
  }
  faulting = true;
  core.exceptionEntry(HARD_FAULT);
  faulting = false;
}

let socket = null;
let sent = [];
const received = []; // buffers
let at = 0; // in the first of them
let next = 0; // cycle in which the line has brought the next byte
let scheduled = false;

// Bytes come at the line's rate, or at once where the core only waits for them.
function feed(core) {
  const uart = chip.uart[0];
  if (!received.length || !uart.enabled || (core.cycles < next && !core.waiting)) return;
  next = core.cycles + (10 * chip.clkSys) / uart.baudRate;
  uart.feedByte(received[0][at++]);
  if (at === received[0].length) {
    received.shift();
    at = 0;
  }
}

// Run for a while; return whether there is more to do before a byte comes.
function slice() {
  const [mcu, { core }, time] = [chip, chip, clock];
  let pc = core.PC;
  try {
    if (core.PC >= FLASH && mcu.readUint16(core.PC & ~1) === TO_ITSELF)
      time.tick(Math.max(time.nanosToNextAlarm, 0)); // it waits for an interrupt or the watchdog
    for (let count = 0; count < SLICE; count++) {
      if (!(count & 31)) feed(core);
      if (core.waiting) {
        // rp2040js misses an interrupt that was pending before the core went to sleep.
        if (!(core.pendingInterrupts & core.enabledInterrupts) && !core.pendingSystick) {
          feed(core);
          if (!(core.pendingInterrupts & core.enabledInterrupts)) return false;
        }
        core.interruptsUpdated = true;
      }
      pc = core.PC;
      time.tick((core.executeInstruction() * 1e9) / mcu.clkSys);
    }
  } catch (error) {
    if (error instanceof Reset) start(chip);
    else if (error instanceof PowerCut) {
      board.cuts++;
      powerCycle();
    } else if (error instanceof Fault) hardFault(pc, error.message);
    else throw error;
  }
  return true;
}

// While the core sleeps its time stands still, and nothing runs here.
function run() {
  scheduled = false;
  const more = slice();
  if (sent.length) {
    if (socket) socket.write(Buffer.from(sent));
    sent = [];
  }
  if (more) wake();
}

function wake() {
  if (!scheduled) setImmediate(run);
  scheduled = true;
}

// What the program writes is in the file at once: it outlives this process however it ends.
function keep(path) {
  const file = fs.openSync(path, fs.existsSync(path) ? 'r+' : 'w+');
  nor.kept = (start, end) => fs.writeSync(file, nor.content, start, end - start, start);
  nor.kept(0, FLASH_BYTES);
}

function listen(descriptor) {
  net.createServer((client) => {
    socket?.destroy();
    socket = client;
    client.setNoDelay(true);
    client.on('data', (data) => {
      received.push(data);
      wake();
    });
    client.on('error', () => {});
    client.on('close', () => { if (socket === client) socket = null; });
  }).listen({ fd: descriptor });
}

try {
  const options = { flash: { type: 'string' }, control: { type: 'string' } };
  const { values, positionals: [path, descriptor] } = parseArgs({ options, allowPositionals: true });
  nor.content.set(load(values.flash && fs.existsSync(values.flash) ? values.flash : path));
  if (values.flash) keep(values.flash);
  start(null);
  if (values.control) serve(values.control, board);
  listen(Number(descriptor));
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
wake();
