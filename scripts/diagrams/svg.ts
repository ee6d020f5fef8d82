/**
 * The few shapes that the diagrams are made of, in light and dark.
 *
 * @module
 */

/** The colours of one appearance. */
export interface Palette {
  readonly text: string;
  readonly faint: string;
  readonly line: string;
  readonly wait: string;
  readonly work: string;
  readonly good: string;
  readonly bad: string;
}

/** Both, by the name of GitHub's own. The background is the page's. */
export const PALETTES: Readonly<Record<'light' | 'dark', Palette>> = {
  light: {
    ...{ text: '#1f2328', faint: '#59636e', line: '#d1d9e0', wait: '#d1d9e0' },
    ...{ work: '#0969da', good: '#1a7f37', bad: '#cf222e' },
  },
  dark: {
    ...{ text: '#f0f6fc', faint: '#9198a1', line: '#3d444d', wait: '#3d444d' },
    ...{ work: '#4493f8', good: '#3fb950', bad: '#f85149' },
  },
};

/** The width of every diagram. */
export const WIDTH = 720;

const SANS = 'system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif';
const MONO = 'ui-monospace, SFMono-Regular, Menlo, Consolas, monospace';

/** Where a text stands, and how it looks. */
export interface TextOptions {
  readonly fill: string;
  readonly size?: number;
  readonly bold?: boolean;
  readonly mono?: boolean;
  readonly anchor?: 'start' | 'middle' | 'end';
}

/** One line of text. */
export function text(x: number, y: number, content: string, options: TextOptions): string {
  const { fill, size = 13, bold = false, mono = false, anchor = 'start' } = options;
  const font = mono ? MONO : SANS;
  const weight = bold ? ' font-weight="600"' : '';
  return `<text x="${round(x)}" y="${round(y)}" fill="${fill}" font-size="${size}" ` +
    `font-family="${font}" text-anchor="${anchor}"${weight}>${escaped(content)}</text>`;
}

/** A filled rectangle. */
export function rect(x: number, y: number, width: number, height: number, fill: string): string {
  return `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${height}" ` +
    `rx="3" fill="${fill}"/>`;
}

/** A straight line. */
export function line(x1: number, y1: number, x2: number, y2: number, stroke: string): string {
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" ` +
    `stroke="${stroke}" stroke-width="1.5"/>`;
}

/** A dot. */
export function dot(x: number, y: number, fill: string): string {
  return `<circle cx="${round(x)}" cy="${round(y)}" r="5" fill="${fill}"/>`;
}

/** A whole image. `title` is what it says to those who cannot see it. */
export function image(height: number, title: string, shapes: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" ` +
    `viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    ...shapes,
    '</svg>',
    '',
  ].join('\n');
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
