import { expect, it } from '@jest/globals';
import {
  onlyOf,
  readXml,
  textOf,
  visit,
  writeXml,
} from '../../../activities/adapters/libvirt-xml/xml.ts';

/** Blanks outside of the root are not kept. */
const XML = `<?xml version="1.0" encoding="UTF-8"?><!-- of <a> --><a one="1" two=" &lt;&#xE9; ">
  <b/> text &amp; <c><![CDATA[<d>]]></c><b two="2"><!-- &x; --></b>
</a>`;

it('A document is written as it was read, but for what was changed', () => {
  const document = readXml(XML, 'a');
  expect(writeXml(document)).toBe(XML);
  visit(document, ({ name, attributes }) => {
    if (name === 'b') attributes['two'] = '"';
  });
  expect(writeXml(document)).toBe(
    XML.replace('<b/>', '<b two="&quot;"/>').replace('"2"', '"&quot;"'),
  );
});

it('An element that must be one is not read when it is there twice', () => {
  const root = onlyOf(readXml(XML, 'a'), 'a');
  expect([onlyOf(root, 'x'), onlyOf(root, 'c')?.name, onlyOf(null, 'a')]).toEqual([
    null,
    'c',
    null,
  ]);
  expect(() => onlyOf(root, 'b')).toThrow('its <a> has several <b>');
});

it('A text is that of an element which is nothing else', () => {
  const textIn = (xml: string) => textOf(onlyOf(readXml(xml, 'a'), 'a'));
  expect([' x &amp;\n', ''].map((text) => textIn(`<a>${text}</a>`))).toEqual([' x &\n', '']);
  for (const xml of [
    '<a b="c">x</a>',
    '<a>x<b/></a>',
    '<a>x<!-- y --></a>',
    '<a><![CDATA[x]]></a>',
  ]) {
    expect(textIn(xml)).toBeNull();
  }
});
