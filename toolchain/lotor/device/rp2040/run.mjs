// node run.mjs FIRMWARE.uf2 FD: an RP2040 that runs a UF2 file, its UART0 on the listening socket FD.
//
// rp2040js has no boot ROM, so that the boot stage in flash is entered as the ROM does. What a chip
// faults on, rp2040js reports to its logger; here that becomes a hard fault.
import fs from 'node:fs';
import net from 'node:net';
import { RP2040 } from 'rp2040js';

const FLASH = 0x10000000;
const FAMILY = 0xe48bff56;
const STACK = 0x20041f00; // where the boot ROM's stack ends, under its copy of the boot stage
const HARD_FAULT = 3;
const SLICE = 50_000; // instructions between two looks at the socket
const TO_ITSELF = 0xe7fe; // the instruction `b .`

class Fault extends Error {}
class Reset extends Error {}

// Armv6-M takes no unaligned access; of those here rp2040js says nothing.
class Chip extends RP2040 {
  readUint16(address) {
    if (address & 1) complain('RP2040', `unaligned read at ${address.toString(16)}`);
    return super.readUint16(address);
  }
  writeUint16(address, value) {
    if (address & 1) complain('RP2040', `unaligned write at ${address.toString(16)}`);
    super.writeUint16(address, value);
  }
  writeUint32(address, value) {
    if (address & 3) complain('RP2040', `unaligned write at ${address.toString(16)}`);
    super.writeUint32(address, value);
  }
}

function load(path, flash) {
  const file = fs.readFileSync(path);
  if (!file.length || file.length % 512) throw new Error(`${path} is no UF2 file`);
  for (let at = 0; at < file.length; at += 512) {
    const word = (offset) => file.readUInt32LE(at + offset);
    const good = word(0) === 0x0a324655 && word(4) === 0x9e5d5157 && word(508) === 0x0ab16f30;
    const [address, size] = [word(12) - FLASH, word(16)];
    if (!good || word(28) !== FAMILY || size > 476 || address < 0 || address + size > flash.length)
      throw new Error(`${path}: block ${at / 512} is damaged, or for another chip`);
    flash.set(file.subarray(at + 32, at + 32 + size), address);
  }
}

// Registers that rp2040js lacks.
const chipReset = { // datasheet 2.12.8: HAD_POR, also after a reset by the watchdog
  readUint32: (offset) => (offset === 8 ? 1 << 8 : 0),
  writeUint32Atomic() {},
};

let chip, clock, faulting;

// A chip that starts: after power-up, or after its watchdog reset all but RAM and flash.
function start(before) {
  chip = new Chip();
  clock = chip.clock;
  faulting = false;
  next = 0;
  const watchdog = chip.peripherals[0x40058];
  if (before) {
    chip.flash.set(before.flash);
    chip.sram.set(before.sram);
    const old = before.peripherals[0x40058];
    watchdog.reason = old.reason;
    watchdog.scratchData.set(old.scratchData);
  }
  watchdog.onWatchdogTrigger = () => { throw new Reset(); };
  chip.peripherals[0x40064] = chipReset;
  chip.onBreak = () => { throw new Fault('undefined instruction'); };
  chip.logger = { debug() {}, info() {}, warn: complain, error: complain };
  chip.uart[0].onByte = (byte) => sent.push(byte);
  chip.core.SP = STACK;
  chip.core.LR = 0;
  chip.core.PC = FLASH;
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
    core.waiting = true;
    core.enabledInterrupts = 0;
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
    else if (error instanceof Fault) hardFault(pc, error.message);
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

const [, , path, descriptor] = process.argv;
start(null);
try {
  load(path, chip.flash);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
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
}).listen({ fd: Number(descriptor) });
wake();
