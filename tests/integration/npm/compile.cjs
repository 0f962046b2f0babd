// Compiles one Solidity file: `node compile.cjs FILE CONTRACT` prints {"abi": […], "bytecode": "0x…"}.
const fs = require("node:fs");
const path = require("node:path");
const solc = require("solc");

const [file, contract] = process.argv.slice(2);
const name = path.basename(file);
const input = {
  language: "Solidity",
  sources: { [name]: { content: fs.readFileSync(file, "utf8") } },
  settings: {
    optimizer: { enabled: true, runs: 200 },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
// A warning about a contract that holds money is worth a look as well.
if (output.errors?.length) {
  console.error(output.errors.map((error) => error.formattedMessage).join("\n"));
  process.exit(1);
}
const compiled = output.contracts[name][contract];
console.log(JSON.stringify({ abi: compiled.abi, bytecode: "0x" + compiled.evm.bytecode.object }));
