/**
 * Charts of what matters most, as SVG, for light and for dark pages.
 *
 * @module
 */

import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';

import { TITLES } from '../engines/list.ts';
import { leastRacer } from '../peers/floors.ts';
import { FLOORS, OURS } from '../peers/list.ts';
import type { Results } from '../results.ts';

/** A chart and the name of its files. */
export interface Chart {
  readonly name: string;
  /** The same twice, for each kind of page. */
  readonly svg: { readonly light: string; readonly dark: string };
}

const LEGEND = ['db-migrate', 'others', 'the least possible'] as const;

interface Bar {
  readonly engine: string;
  readonly peer: string;
  readonly value: number;
  readonly label: string;
  readonly whose: (typeof LEGEND)[number];
}

interface Theme {
  readonly text: string;
  readonly grid: string;
  readonly colors: readonly string[];
}

const THEMES: Readonly<Record<'light' | 'dark', Theme>> = {
  light: { text: '#24292f', grid: '#d8dee4', colors: ['#0969da', '#8c959f', '#c9d1d9'] },
  dark: { text: '#e6edf3', grid: '#30363d', colors: ['#58a6ff', '#6e7681', '#3d444d'] },
};

const DELAY_MS = 20;

/** The charts that a run has the figures for. */
export async function charts(results: Results): Promise<Chart[]> {
  const { wire, delay, effort } = results;
  const made: Promise<Chart>[] = [];
  if (delay) {
    const alone = (what: 'cold' | 'fresh') =>
      delay.alone.filter((row) => row.what === what && row.delayMs === DELAY_MS && row.ms)
        .map(({ engine, peer, ms }) => bar(engine, peer, ms!.median));
    made.push(
      chart(
        'fresh',
        `Fresh install of ${effort.tables} tables, ${DELAY_MS} ms a round trip`,
        'milliseconds',
        alone('fresh'),
      ),
      chart(
        'cold',
        `Cold start on an installed database, ${DELAY_MS} ms a round trip`,
        'milliseconds',
        alone('cold'),
      ),
    );
    const races = delay.races.filter((row) =>
      row.delayMs === DELAY_MS && row.peer !== leastRacer.name
    );
    made.push(chart(
      'race',
      `${effort.callers} callers at once on a fresh database: how many were served right`,
      'percent of the callers',
      races.map(({ engine, peer, callers, races, ms }) =>
        bar(engine, peer, 100 * (ms?.samples ?? 0) / (callers * races))
      ),
      true,
    ));
  }
  if (wire) {
    made.push(chart(
      'round_trips',
      'Round trips of a cold start on an installed database',
      'round trips',
      wire.counts.filter(({ engine }) => engine !== 'sqlite').flatMap(({ engine, peer, cold }) =>
        cold && !('error' in cold) ? [bar(engine, peer, cold.roundTrips)] : []
      ),
    ));
  }
  return await Promise.all(made);
}

function bar(engine: keyof typeof TITLES, peer: string, value: number): Bar {
  const whose = OURS.some(({ name }) => name === peer)
    ? 'db-migrate'
    : FLOORS.some(({ name }) => name === peer)
    ? 'the least possible'
    : 'others';
  const shown = value >= 10 ? value.toFixed(0) : String(Number(value.toPrecision(2)));
  return { engine: TITLES[engine], peer, value, label: shown, whose };
}

async function chart(
  name: string,
  title: string,
  unit: string,
  bars: readonly Bar[],
  isMoreBetter = false,
): Promise<Chart> {
  const draw = (theme: Theme) => svgOf(specOf(title, unit, bars, theme, isMoreBetter));
  return { name, svg: { light: await draw(THEMES.light), dark: await draw(THEMES.dark) } };
}

function specOf(
  title: string,
  unit: string,
  bars: readonly Bar[],
  theme: Theme,
  isMoreBetter: boolean,
): TopLevelSpec {
  const most = Math.max(...bars.map((bar) => bar.value));
  const engines = [...new Set(bars.map((bar) => bar.engine))];
  return {
    title: { text: title, anchor: 'start', color: theme.text, fontSize: 15, offset: 12 },
    vconcat: engines.map((engine, at) => {
      const values = bars.filter((bar) => bar.engine === engine).toSorted((a, b) =>
        isMoreBetter ? b.value - a.value : a.value - b.value
      );
      const isLast = at === engines.length - 1;
      const x = {
        field: 'value',
        type: 'quantitative' as const,
        title: isLast ? unit : null,
        scale: { domain: [0, most] },
      };
      const y = {
        field: 'peer',
        type: 'nominal' as const,
        title: null,
        sort: values.map(({ peer }) => peer),
        axis: { minExtent: 200 },
      };
      const color = {
        field: 'whose',
        type: 'nominal' as const,
        title: null,
        scale: { domain: [...LEGEND], range: [...theme.colors] },
        legend: { orient: 'bottom' as const, labelColor: theme.text },
      };
      return {
        data: { values },
        title: { text: engine, anchor: 'start', color: theme.text, fontSize: 12 },
        width: 420,
        height: { step: 18 },
        layer: [
          { mark: { type: 'bar', cornerRadiusEnd: 2 }, encoding: { x, y, color } },
          {
            mark: { type: 'text', align: 'left', dx: 4, color: theme.text, fontSize: 11 },
            encoding: { x, y, text: { field: 'label', type: 'nominal' } },
          },
        ],
      };
    }),
    config: {
      background: 'transparent',
      font: 'system-ui, sans-serif',
      padding: { left: 8, top: 8, right: 48, bottom: 8 },
      view: { stroke: null },
      axis: {
        labelColor: theme.text,
        titleColor: theme.text,
        gridColor: theme.grid,
        domainColor: theme.grid,
        tickColor: theme.grid,
        labelFontSize: 11,
        labelLimit: 260,
      },
      aria: false,
    },
  };
}

function svgOf(spec: TopLevelSpec): Promise<string> {
  return new View(parse(compile(spec).spec), { renderer: 'none' }).toSVG();
}
