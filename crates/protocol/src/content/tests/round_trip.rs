//! Whatever is added comes back the same; whatever is not content is refused, and never with a panic.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::super::{
    ContentUri, add_dir_with_manifest, blocks, list, missing, parse_cid, read_car, resolve,
    sha256_of_reader, unixfs, write_car,
};
use super::*;

/// Files by path: names of letters that need care, in directories up to three deep.
fn files() -> impl Strategy<Value = BTreeMap<String, Vec<u8>>> {
    let name = "[a-cA-C .%é☃-]{1,6}".prop_filter("is a name", |name| name != "." && name != "..");
    let path = prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"));
    let content = prop::collection::vec(any::<u8>(), 0..300);
    prop::collection::btree_map(path, content, 0..12).prop_map(|files| {
        // A path below another file would need a file that is a directory too.
        let paths: Vec<String> = files.keys().cloned().collect();
        let is_directory =
            |path: &str| paths.iter().any(|other| other.starts_with(&format!("{path}/")));
        files.into_iter().filter(|(path, _)| !is_directory(path)).collect()
    })
}

fn read_back(directory: &Path, files: &BTreeMap<String, Vec<u8>>) -> bool {
    files.iter().all(|(path, content)| fs::read(directory.join(path)).unwrap() == *content)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn files_come_back_through_a_car(files in files()) {
        let limits = Limits::default();
        let place = tempfile::tempdir().unwrap();
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        fs::create_dir(&from).unwrap();
        for (path, content) in &files {
            write_file(&from, path, content);
        }
        let store = MemoryStore::default();
        let (added, manifest) = add_dir_with_manifest(&store, &from, &limits).unwrap();
        prop_assert_eq!(added.files, files.len() as u64);
        let mut car = Vec::new();
        write_car(&store, &added.cid, &mut car, &limits).unwrap();

        let copy = MemoryStore::default();
        let imported = read_car(&copy, &mut car.as_slice(), &limits).unwrap();
        prop_assert_eq!(&imported.roots, &[added.cid]);
        prop_assert_eq!(copy.len(), store.len());
        prop_assert_eq!(missing(&copy, &added.cid, &limits, 1).unwrap(), []);
        prop_assert!(imported.bytes <= added.dag_bytes);
        let exported = export(&copy, &added.cid, &to, &limits).unwrap();
        prop_assert_eq!((exported.files, exported.bytes), (added.files, added.bytes));
        prop_assert!(read_back(&to, &files));
        prop_assert_eq!(&Manifest::of_dir(&to, &limits).unwrap(), &manifest);
        prop_assert_eq!(&Manifest::of_dag(&copy, &added.cid, &limits).unwrap(), &manifest);
        prop_assert_eq!(&Manifest::from_json(&manifest.canonical_json(), &limits).unwrap(), &manifest);
        for path in files.keys() {
            let uri: ContentUri = ContentUri::new(added.cid, path).unwrap().to_string().parse().unwrap();
            let found = resolve(&copy, &uri, &limits).unwrap();
            let (sha256, _) = sha256_of_reader(&mut files[path].as_slice(), u64::MAX).unwrap();
            prop_assert_eq!(found, super::super::raw_cid(sha256));
        }
        // Any one block less is noticed, by its name.
        let mut all = Vec::new();
        blocks(&copy, &added.cid, &limits, &mut |cid, _| { all.push(*cid); Ok(()) }).unwrap();
        for cid in all {
            let bytes = copy.get(&cid).unwrap().unwrap();
            copy.remove(&cid).unwrap();
            prop_assert_eq!(missing(&copy, &added.cid, &limits, 9).unwrap(), [cid]);
            let error = refused(&copy, &added.cid, &limits);
            let names_it = matches!(&error, ContentError::MissingBlock { cid: named } if *named == cid);
            prop_assert!(names_it, "{:?}", error);
            copy.put(&cid, &bytes).unwrap();
        }
    }

    #[test]
    fn nodes_with_any_byte_changed_are_read_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>(), which in 0..3) {
        let store = MemoryStore::default();
        let leaf = put_raw(&store, b"leaf");
        let mut block = match which {
            0 => unixfs::encode_directory(&[link("a", leaf), link("b", leaf)]).block,
            1 => unixfs::encode_file(&[unixfs::Part { cid: leaf, bytes: 4, dag_bytes: 4 }; 3]).block,
            _ => unixfs::encode_shard(256, &[(1, link("a", leaf)), (9, link("", leaf))]).block,
        };
        let at = at.index(block.len());
        block[at] = byte;
        let root = put_dag_pb(&store, &block);
        // Only that it ends, and without a panic.
        let _ = Manifest::of_dag(&store, &root, &Limits::default());
        let _ = list(&store, &root, &Limits::default());
        let _ = missing(&store, &root, &Limits::default(), 10);
    }

    #[test]
    fn noise_is_refused(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let store = MemoryStore::default();
        let root = put_dag_pb(&store, &noise);
        let _ = Manifest::of_dag(&store, &root, &Limits::default());
        prop_assert!(read_car(&store, &mut noise.as_slice(), &Limits::default()).is_err());
    }

    #[test]
    fn addresses_are_read_as_they_are_written(path in "[ -~é☃]{0,20}") {
        let root = block_cid(b"root");
        if let Ok(uri) = ContentUri::new(root, &path) {
            prop_assert_eq!(uri.path().join("/"), path);
            prop_assert_eq!(uri.to_string().parse::<ContentUri>().unwrap(), uri);
        }
    }
}

#[test]
fn addresses_are_strict() {
    let cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    for (text, path) in [
        (format!("ipfs://{cid}"), vec![]),
        (format!("ipfs://{cid}/data/train.csv"), vec!["data", "train.csv"]),
        (format!("ipfs://{cid}/a%20b%2B/%E2%98%83"), vec!["a b+", "☃"]),
        ("ipfs://QmVU1R7vHYDUXmqTL21jjSmUFysYpxq4LfL1w4cfTvvFd5/d".to_owned(), vec!["d"]),
    ] {
        let uri: ContentUri = text.parse().unwrap();
        assert_eq!(uri.path(), path);
        assert_eq!(uri.to_string(), text);
        assert_eq!(serde_json::to_string(&uri).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<ContentUri>(&format!("\"{text}\"")).unwrap(), uri);
    }
    for path in [
        "/",
        "/a/",
        "//a",
        "/a/..",
        "/../a",
        "/.",
        "/%2e%2e/a",
        "/a%2Fb",
        "/a%00",
        "/a?x",
        "/a#x",
        "/%",
        "/%4",
        "/%zz",
        "/%ff",
    ] {
        let text = format!("ipfs://{cid}{path}");
        let error = text.parse::<ContentUri>().unwrap_err();
        assert!(matches!(error, ContentError::InvalidUri { .. }), "{text}: {error:?}");
    }
    for text in [
        "",
        "ipfs:",
        "ipfs://",
        "https://example.org/x",
        &format!("IPFS://{cid}"),
        &format!("/ipfs/{cid}"),
        &format!("ipfs:///ipfs/{cid}"),
        &format!("ipfs://{cid}?x"),
    ] {
        assert!(text.parse::<ContentUri>().is_err(), "{text}");
    }
    let deep = format!("ipfs://{cid}{}", "/a".repeat(65));
    assert!(deep.parse::<ContentUri>().is_err());
}

#[test]
fn cids_are_strict() {
    use cid::multibase::Base;
    let v1 = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    let cid = parse_cid(v1).unwrap();
    for base in [Base::Base32Lower, Base::Base36Lower, Base::Base58Btc] {
        assert_eq!(parse_cid(&cid.to_string_of_base(base).unwrap()).unwrap(), cid);
    }
    assert_eq!(
        parse_cid("QmVU1R7vHYDUXmqTL21jjSmUFysYpxq4LfL1w4cfTvvFd5").unwrap().version(),
        cid::Version::V0
    );
    let mut longer = cid.to_bytes();
    longer.push(0);
    let longer = cid::multibase::encode(Base::Base32Lower, longer);
    for text in [
        "",
        "b",
        "Qm",
        "not a cid",
        &format!("/ipfs/{v1}"),
        &format!("x/ipfs/{v1}"),
        &format!("{v1} "),
        &v1[..50],
        &longer,
        &"b".repeat(1000),
    ] {
        let error = parse_cid(text).unwrap_err();
        assert!(matches!(error, ContentError::InvalidCid { .. }), "{text}: {error:?}");
    }
    let sha1 = Cid::new_v1(0x55, multihash::Multihash::wrap(0x11, &[1; 20]).unwrap()).to_string();
    assert!(matches!(parse_cid(&sha1).unwrap_err(), ContentError::UnsupportedHash { .. }));
}
