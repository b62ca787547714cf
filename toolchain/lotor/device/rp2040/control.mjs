// A local socket on which a test has power over the board: a line of JSON each way. A request is a list,
// the verb first; the answer {"ok": …} or {"error": "…"}.
//
//   ["cut", N, HOW]     power fails at the Nth operation of flash from now: before it, during it (some of
//                       its bits are done) or after it; then it comes back, with RAM and line lost
//   ["operations"]      those since the last load: [["erase" or "program", address, bytes], …]
//   ["cuts"]            how often power failed since the last load
//   ["power"]           off and on, now
//   ["save", FILE]      what flash holds, as bytes
//   ["load", FILE]      have flash hold that, or a UF2 file on empty flash; off and on
//   ["word", ADDRESS]   a register or a word of memory, as the core would read it
import fs from 'node:fs';
import net from 'node:net';

const MOMENTS = ['before', 'during', 'after'];

export function serve(path, board) {
  const verbs = {
    cut(count, how) {
      if (!(Number.isInteger(count) && count > 0 && MOMENTS.includes(how)))
        throw new Error(`a cut is at an operation from 1 on, ${MOMENTS.join(', ')}`);
      board.nor.cut = { at: board.nor.operations.length + count, how };
      return null;
    },
    operations: () => board.nor.operations,
    cuts: () => board.cuts,
    power: () => board.powerCycle(),
    save: (file) => fs.writeFileSync(file, board.nor.content),
    load: (file) => board.load(file),
    word: (address) => board.word(address),
  };
  const answer = (line) => {
    try {
      const [verb, ...rest] = JSON.parse(line);
      if (!Object.hasOwn(verbs, verb)) throw new Error(`no such request: ${verb}`);
      return { ok: verbs[verb](...rest) ?? null };
    } catch (error) {
      return { error: error.message };
    }
  };
  net.createServer((client) => {
    let text = '';
    client.on('data', (data) => {
      const lines = (text + data).split('\n');
      text = lines.pop();
      for (const line of lines) client.write(`${JSON.stringify(answer(line))}\n`);
    });
    client.on('error', () => {});
  }).listen(path);
}
