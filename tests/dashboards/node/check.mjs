// `node check.mjs FOLDER`: the dashboards in a folder against Grafana's own TypeScript types, and their TraceQL against
// Grafana's own grammar. A key that the types do not know is an error, as is a value that is not one of an enum's.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parser } from '@grafana/lezer-traceql';
import ts from 'typescript';

const here = fileURLToPath(new URL('.', import.meta.url));
const folder = process.argv[2];
const raw = './@grafana/schema/dist/esm/raw/composable';
const kinds = { stat: 'Stat', gauge: 'Gauge', piechart: 'PieChart', table: 'Table', timeseries: 'TimeSeries' };
// JSON spells an enum's members as plain text or numbers.
const head = `
import type { Dashboard, Panel, FieldConfigSource, FieldConfig, VariableModel, DashboardLink, TimePickerConfig } from '@grafana/schema';
${Object.entries(kinds).map(([kind, name]) => `import type * as ${name} from '${raw}/${kind}/panelcfg/x/${name}PanelCfg_types.gen';`).join('\n')}
type Json<T> = T extends string ? \`\${T}\` : T extends number ? number : T extends boolean | null | undefined ? T
  : unknown extends T ? T : T extends (infer E)[] ? Json<E>[] : { [K in keyof T]: Json<T[K]> };
`;
const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
let source = head;
let number = 0;
const problems = [];
const check = (type, value) => {
  number += 1;
  source += `const v${number}: Json<${type}> = ${JSON.stringify(value)};\n`;
};
for (const name of names) {
  const { panels, templating, links, ...board } = JSON.parse(readFileSync(join(folder, name), 'utf8'));
  source += `// ${name}\n`;
  check("Omit<Dashboard, 'panels' | 'templating' | 'links'>", board);
  templating.list.forEach((variable) => check('VariableModel', variable));
  links.forEach((link) => check('DashboardLink', link));
  for (const { options, fieldConfig, targets, ...panel } of panels) {
    const kind = kinds[panel.type];
    source += `// ${name}: ${panel.title}\n`;
    check("Omit<Panel, 'options' | 'fieldConfig' | 'targets'>", panel);
    check(`Partial<${kind}.Options>`, options);
    const { custom, ...defaults } = fieldConfig.defaults;
    check("Omit<FieldConfig, 'custom'>", defaults);
    check("Omit<FieldConfigSource, 'defaults'>", { overrides: fieldConfig.overrides });
    if (custom) check(`Partial<${panel.type === 'table' ? 'import("@grafana/schema").TableFieldOptions' : `${kind}.FieldConfig`}>`, custom);
    for (const { query, queryType } of targets) {
      if (queryType !== 'traceql') continue;
      const filled = query.replaceAll(/\$(model|provider|key|tag)/g, '.*').replace('$dear', '0.1');
      parser.parse(filled).iterate({
        enter: (node) => {
          if (node.type.isError) problems.push(`${name}: ${panel.title}: no TraceQL at ${node.from}: ${filled}`);
        },
      });
    }
  }
}
const file = join(here, 'node_modules', 'checked.ts');
writeFileSync(file, source);
const settings = { strict: true, noEmit: true, skipLibCheck: true, moduleResolution: ts.ModuleResolutionKind.Bundler };
const program = ts.createProgram([file], { ...settings, module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, types: [] });
const lines = source.split('\n');
for (const found of ts.getPreEmitDiagnostics(program)) {
  const text = ts.flattenDiagnosticMessageText(found.messageText, '\n  ');
  const line = found.file ? found.file.getLineAndCharacterOfPosition(found.start).line : 0;
  const about = lines.slice(0, line).reverse().find((one) => one.startsWith('//'));
  problems.push(`${about}: ${text}\n    ${(lines[line] ?? '').slice(0, 300)}`);
}
console.log(problems.join('\n') || `${names.length} dashboards, ${number} values fit the types`);
process.exit(problems.length ? 1 : 0);
