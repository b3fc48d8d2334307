/** The pictures of docs/proof/, drawn from what is recorded. */
import { writeFile } from 'node:fs/promises';
import * as echarts from 'echarts';
import { pictures, type Picture, type Point } from './figures.ts';
import { proofFile, type Recorded } from './record.ts';

const SIZE = { width: 760, height: 420 };

/** Writes each picture of which there are points. @returns their names */
export async function drawAll(recorded: Recorded): Promise<string[]> {
  const points = Object.values(recorded).flatMap(({ rows }) =>
    rows.flatMap((row) => row.points ?? []),
  );
  const drawn = (Object.keys(pictures) as Picture[]).filter((picture) =>
    points.some((point) => point.picture === picture),
  );
  for (const picture of drawn) {
    await writeFile(proofFile(`${picture}.svg`), `${draw(picture, points)}\n`);
  }
  return drawn;
}

function draw(picture: Picture, all: readonly Point[]): string {
  const points = all.filter((point) => point.picture === picture);
  const { title, x, y } = pictures[picture];
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, ...SIZE });
  const axis = { type: 'log', nameLocation: 'middle', nameGap: 30 } as const;
  chart.setOption({
    animation: false,
    backgroundColor: '#fff',
    title: { text: title, left: 'center' },
    legend: { bottom: 0, itemGap: 24 },
    grid: { left: 70, right: 30, top: 50, bottom: 80 },
    xAxis: { ...axis, name: x, logBase: 2, min: 'dataMin', max: 'dataMax' },
    yAxis: { ...axis, name: y, nameGap: 50, type: 'value' },
    series: [...new Set(points.map(({ line }) => line))].map((line) => ({
      name: line,
      type: 'line',
      data: points
        .filter((point) => point.line === line)
        .map((point) => [point.x, point.y])
        .sort(([a = 0], [b = 0]) => a - b),
    })),
  });
  try {
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}
