//! CIDs and blocks that other implementations made.
//!
//! Every CID here comes from npm `ipfs-unixfs-importer` 17.1.1 with the profile `unixfs-v1-2025`; those of the files of
//! 1,048,577 and 5,000,000 bytes, and of the directory without its empty one, from npm `ipfs-car` 3.1.0 as well. The CARs
//! in `foreign/` hold content that the importer wrote in other ways: `v0.car` in the old profile (CIDv0, dag-pb leaves) in
//! chunks of 100 bytes and 3 links a node, `trickle.car` in the trickle layout with leaves of the old type "raw",
//! `hamt8.car` a directory sharded with a fanout of 8.

use std::fs;

use super::super::{
    ContentUri, Limits, Manifest, MemoryStore, add_dir, add_file, add_path, cat, export, list,
    missing, parse_cid, read_car, resolve,
};
use super::{grist, write_file, write_fixture_directory};

#[test]
fn files_have_the_cids_of_other_tools() {
    let fixtures = [
        (0, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
        (1, "bafkreig2xu5p65u7a7vsszkad2yctf2oxorua6x5akzg3w2wj2s7r35ooi"),
        (100, "bafkreiblr7gbowyqwqfhlqnazkkbylgucewemoxona6cfjffwdzx6bejqe"),
        (262_145, "bafkreigfdt76dbyveredshkychgvmzq62no5d3xulctac6rnwxlzy7jxvy"),
        (1_048_576, "bafkreibqxe5ues3ovlqemifgxl7b67vwwkvgf6yukuqqxvn6ivzq7j3x74"),
        (1_048_577, "bafybeih5e537lsvucef3o2fpqor5pf55iijmfa7rlixbtmhkyjrf562luu"),
        (5_000_000, "bafybeigt4o2pfs4d2grbbgsdlm3dljkxbcn5manvym3qsil4lwe5qoggwy"),
    ];
    for (bytes, cid) in fixtures {
        let store = MemoryStore::default();
        let content = grist(bytes, bytes as u32);
        let added = add_file(&store, &mut content.as_slice(), &Limits::default()).unwrap();
        assert_eq!(added.cid.to_string(), cid, "{bytes} bytes");
        assert_eq!(added.bytes, bytes as u64);
        let mut read = Vec::new();
        cat(&store, &added.cid, &mut read, &Limits::default()).unwrap();
        assert!(read == content, "{bytes} bytes read back differ");
    }
}

#[test]
fn a_directory_has_the_cid_of_other_tools() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("d");
    write_fixture_directory(&directory, 1_500_000);
    let store = MemoryStore::default();
    let added = add_dir(&store, &directory, &Limits::default()).unwrap();
    assert_eq!(
        added.cid.to_string(),
        "bafybeigkhpcslsmtvn3cpyduklg2ta77acepgan3fimplggk7osdiej4km"
    );
    assert_eq!((added.files, added.bytes), (5, 1_500_035));

    fs::remove_dir(directory.join("empty")).unwrap();
    assert_eq!(
        add_path(&store, &directory, &Limits::default()).unwrap().cid.to_string(),
        "bafybeicr6ey2lnm3kifjji3bshngtrqvgcpzaafuj5ygqqzagdxvreutde"
    );
}

#[test]
fn a_directory_is_sharded_beyond_256_kib_exactly() {
    // 5,041 links of 52 bytes and 4 of data are 262,136 bytes; the first name is longer by what is given.
    let fixtures = [
        (0, "bafybeifb2tvgi4mwrndtiw3eyd3oxypec62xtvfijw3hi3rwgirw4nqua4"),
        (8, "bafybeiefm7hvjww57zb3zuafc23u4l3s3cyrrl5mcc5stgvegmd7ttuzum"),
        (9, "bafybeifk5w3nqg4xrlazvrq3g55evjfvlhiodq3ptzcsblajpud4jk2mlm"),
    ];
    let place = tempfile::tempdir().unwrap();
    for number in 1..5041 {
        write_file(place.path(), &format!("{number:08}"), &[]);
    }
    for (extra, cid) in fixtures {
        let first = format!("{:08}{}", 0, "x".repeat(extra));
        write_file(place.path(), &first, &[]);
        let store = MemoryStore::default();
        let added = add_dir(&store, place.path(), &Limits::default()).unwrap();
        assert_eq!(added.cid.to_string(), cid, "{extra} bytes more");
        fs::remove_file(place.path().join(first)).unwrap();
    }
}

#[test]
fn a_sharded_directory_has_the_cid_of_other_tools_and_every_path_leads_to_its_file() {
    let place = tempfile::tempdir().unwrap();
    for number in 0..6000 {
        write_file(place.path(), &format!("file-{number}"), number.to_string().as_bytes());
    }
    let store = MemoryStore::default();
    let limits = Limits::default();
    let root = add_dir(&store, place.path(), &limits).unwrap().cid;
    assert_eq!(root.to_string(), "bafybeihkfzt2ncfavkkkbvjoql3uku5rfh7jkyesk2fpflycowxubizgti");
    assert_eq!(list(&store, &root, &limits).unwrap().len(), 6000);
    for number in [0, 1, 4711, 5999] {
        let uri = ContentUri::new(root, &format!("file-{number}")).unwrap();
        let mut content = Vec::new();
        let file = resolve(&store, &uri, &limits).unwrap();
        cat(&store, &file, &mut content, &limits).unwrap();
        assert_eq!(content, number.to_string().as_bytes());
    }
    let absent = ContentUri::new(root, "file-6000").unwrap();
    assert_eq!(
        resolve(&store, &absent, &limits).unwrap_err().to_string(),
        format!("there is no `file-6000` in {root}")
    );
}

#[test]
fn content_of_other_profiles_is_read() {
    let limits = Limits::default();
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("d");
    write_fixture_directory(&directory, 3000);
    let sharded = place.path().join("sharded");
    for number in 0..40 {
        write_file(&sharded, &format!("file-{number}"), number.to_string().as_bytes());
    }
    let v0: &[u8] = include_bytes!("foreign/v0.car");
    let trickle: &[u8] = include_bytes!("foreign/trickle.car");
    let hamt8: &[u8] = include_bytes!("foreign/hamt8.car");
    let foreign = [
        ("v0", v0, &directory, "QmVU1R7vHYDUXmqTL21jjSmUFysYpxq4LfL1w4cfTvvFd5", 55),
        (
            "trickle",
            trickle,
            &directory,
            "bafybeiadhad5zqkvxfoapgq7ciz4whloxnvwzyxgoisho55vugmoczy6yi",
            48,
        ),
        (
            "hamt8",
            hamt8,
            &sharded,
            "bafybeibkkowtsu7dkuol5ti22zjo4bb6wgaxrgcmauf4cvsmlwpgflalva",
            57,
        ),
    ];
    for (name, mut car, expected, root, blocks) in foreign {
        let store = MemoryStore::default();
        let root = parse_cid(root).unwrap();
        let imported = read_car(&store, &mut car, &limits).unwrap();
        assert_eq!((imported.roots, imported.blocks), (vec![root], blocks), "{name}");
        assert_eq!(missing(&store, &root, &limits, 1).unwrap(), [], "{name}");
        let exported = place.path().join(name);
        export(&store, &root, &exported, &limits).unwrap();
        let manifest = Manifest::of_dir(expected, &limits).unwrap();
        assert_eq!(Manifest::of_dir(&exported, &limits).unwrap(), manifest, "{name}");
        assert_eq!(Manifest::of_dag(&store, &root, &limits).unwrap(), manifest, "{name}");
        assert_eq!(exported.join("empty").is_dir(), expected.join("empty").is_dir(), "{name}");
    }
}

#[test]
fn a_manifest_has_the_hash_that_any_rfc_8785_implementation_computes() {
    let place = tempfile::tempdir().unwrap();
    write_file(place.path(), "b/c.txt", b"flour");
    write_file(place.path(), "b.txt", b"");
    let manifest = Manifest::of_dir(place.path(), &Limits::default()).unwrap();
    // Sorted by bytes: `.` comes before `/`.
    let json = concat!(
        r#"{"files":[{"path":"b.txt","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"#,
        r#"{"path":"b/c.txt","sha256":"f55f97cfa0dd5f18c1ac07d2c361b198f19fd8522032faae0451a1500f1c5f50","size":5}]}"#,
    );
    assert_eq!(String::from_utf8(manifest.canonical_json()).unwrap(), json);
    let hash = "1b2b1d6e4fa40659d8e65f402b8a6693b0ed26dd34e99a25d47e02dfe9ba91eb";
    assert_eq!(hex::encode(manifest.hash().0), hash);
    assert_eq!(manifest.bytes(), 5);
}
